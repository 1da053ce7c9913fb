/** Many streams are written at once, and each is followed. */
import { planQuery } from "./apps/writer.js";
import { connect, follow } from "./followers.js";
import type { Host } from "./bench-host.js";
import { drive } from "./host-request.js";
import { median, percentile } from "./statistics.js";
import type { Target } from "./targets.js";
import { charactersOf, tokens as tokensOf } from "./texts.js";

export interface ManyCase {
  streams: number;
  tokens: number;
  /** Milliseconds from token to token. */
  pace: number;
}

export type ManyResult = {
  commitsPerSecond: number;
  /** From a token's append to where its follower has it (ms). */
  lagP50: number;
  lagP99: number;
  /** From the first request to the end of the last stream (ms). */
  took: number;
  /** How long the process of the deployment computed (ms). */
  cpu: number;
  /** The most that the process of the deployment had (bytes). */
  memory: number;
  /** Characters that a follower does not have in the end. */
  lost: number;
};

/** The requests come within so long (ms). */
const SPREAD = 4000;

const wallClock = () => performance.timeOrigin + performance.now();

export async function many(
  host: Host,
  target: Target,
  { streams, tokens, pace }: ManyCase,
): Promise<ManyResult> {
  const ends = endsOf(tokensOf(tokens));
  const plan = planQuery({ tokens, pace, stopClock: false });
  const readers = await Promise.all(
    Array.from({ length: streams }, async () => {
      const streamId = (await host.call("streams:create")) as string;
      const client = connect(host.url);
      const reader = follow(client, target.follower, streamId);
      await reader.reached(0);
      /** When it had how much. */
      const steps: { characters: number; at: number }[] = [];
      reader.onProgress = ({ characters }) =>
        steps.push({ characters, at: wallClock() });
      return { streamId, client, reader, steps };
    }),
  );
  await host.reset();
  const computed = await host.computed();
  const begin = performance.now();
  await Promise.all(
    readers.map(async ({ streamId, reader }, i) => {
      // Not all at once: connections would be refused, and tried again seconds later.
      await new Promise((goOn) => setTimeout(goOn, (i * SPREAD) / streams));
      await drive(host.siteUrl, streamId, plan);
      await reader.ended();
    }),
  );
  const took = performance.now() - begin;
  const { commits } = await host.counters();
  const cpu = (await host.computed()) - computed;
  const memory = await host.peakMemory();
  const lags: number[] = [];
  let lost = 0;
  for (const { streamId, reader, steps } of readers) {
    const { times } = await host.record(streamId);
    lags.push(...lagsOf(ends, times, steps));
    lost += charactersOf(tokens) - reader.progress.characters;
  }
  await Promise.all(readers.map(({ client }) => client.close()));
  return {
    commitsPerSecond: commits / (took / 1000),
    lagP50: median(lags),
    lagP99: percentile(lags, 0.99),
    took,
    cpu,
    memory,
    lost,
  };
}

/** The offset at which each token ends. */
function endsOf(tokens: readonly string[]): number[] {
  let end = 0;
  return tokens.map((token) => (end += token.length));
}

/** For each token, how long after its append it was there. */
function lagsOf(
  ends: readonly number[],
  times: readonly number[],
  steps: readonly { characters: number; at: number }[],
): number[] {
  const lags: number[] = [];
  let step = 0;
  for (const [i, end] of ends.entries()) {
    while ((steps[step]?.characters ?? Infinity) < end) step++;
    lags.push((steps[step]?.at ?? NaN) - (times[i] ?? NaN));
  }
  return lags;
}
