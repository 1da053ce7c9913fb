/** One reply is written for the session that asked for it: how long that takes. */
import { planQuery } from "./apps/writer.js";
import type { Host } from "./bench-host.js";
import { drive } from "./host-request.js";
import { median, percentile } from "./statistics.js";
import { charactersOf } from "./texts.js";

export interface DrivingCase {
  tokens: number;
  /** Milliseconds from token to token; 0: the writer never pauses. */
  pace: number;
  /** How long a commit takes (ms). */
  commitDelay: number;
}

export type DrivingResult = {
  /** What the writer waited for its appends (ms). */
  appendP50: number;
  appendP99: number;
  appendMax: number;
  /** From the request to the end of the response (ms), and what of it goes beyond the model's own time. */
  took: number;
  beyond: number;
  tokensPerSecond: number;
};

export async function driving(
  host: Host,
  { tokens, pace, commitDelay }: DrivingCase,
): Promise<DrivingResult> {
  await host.commitDelay(commitDelay);
  const streamId = (await host.call("streams:create")) as string;
  const { took, characters } = await drive(
    host.siteUrl,
    streamId,
    planQuery({ tokens, pace, stopClock: false }),
  );
  if (characters !== charactersOf(tokens)) {
    throw new Error(`The response had ${characters} characters.`);
  }
  await host.commitDelay(0);
  const { waits } = await host.record(streamId);
  return {
    appendP50: median(waits),
    appendP99: percentile(waits, 0.99),
    appendMax: Math.max(...waits),
    took,
    beyond: took - (tokens - 1) * pace,
    tokensPerSecond: tokens / (took / 1000),
  };
}

/** From request to first byte (ms): the median of `times` requests. */
export async function firstByte(
  host: Host,
  commitDelay: number,
  times: number,
): Promise<number> {
  await host.commitDelay(commitDelay);
  const query = planQuery({ tokens: 1, pace: 0, stopClock: false });
  const measured: number[] = [];
  for (let i = 0; i < times; i++) {
    const streamId = (await host.call("streams:create")) as string;
    measured.push((await drive(host.siteUrl, streamId, query)).firstByte);
  }
  await host.commitDelay(0);
  return median(measured);
}
