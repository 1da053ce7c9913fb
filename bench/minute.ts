/** What it costs that somebody reads a stream while it is written for a minute. */
import type { Counters } from "../test/local-deployment/deployment.js";
import { readStream, type Fetch } from "../src/browser/index.js";
import { planQuery } from "./apps/writer.js";
import { connect, follow } from "./followers.js";
import type { Host } from "./bench-host.js";
import { costOfThousand } from "./prices.js";
import { drive } from "./host-request.js";
import { charactersOf } from "./texts.js";

export interface MinuteCase {
  tokens: number;
  /** Milliseconds from token to token. */
  pace: number;
  readers: number;
  by: ReadBy;
}

/**
 * The hook's reader on a subscription, `readStream` over HTTP, or `readStream` where
 * responses arrive only when they are complete, as in React Native and behind a
 * proxy that buffers.
 */
export type ReadBy = "subscription" | "readStream" | "long-polls";

type Figures =
  | "functionCalls"
  | "queryRuns"
  | "documentsRead"
  | "bytesRead"
  | "bytesPushed"
  | "cost";

/** What the readers add to what the writer costs by itself: for each minute of writing, all readers together. */
export async function minute(
  withReaders: Host,
  withoutThem: Host,
  what: MinuteCase,
): Promise<Record<Figures, number>> {
  const minutes = ((what.tokens - 1) * what.pace) / 60_000;
  // By the real clock, so at the same time.
  const [read, unread] = await Promise.all([
    written(withReaders, what),
    written(withoutThem, { ...what, readers: 0 }),
  ]);
  const added = Object.fromEntries(
    Object.entries(read).map(([name, count]) => [
      name,
      (count - unread[name as keyof Counters]) / minutes,
    ]),
  ) as unknown as Counters;
  return { ...added, cost: costOfThousand(added) };
}

/** Everything that is counted while a stream is written and read. */
async function written(
  host: Host,
  { tokens, pace, readers, by }: MinuteCase,
): Promise<Counters> {
  const streamId = (await host.call("streams:create")) as string;
  await host.reset();
  const reading = Array.from({ length: readers }, () =>
    by === "subscription"
      ? followText(host.url, streamId)
      : readText(
          `${host.siteUrl}/resume`,
          streamId,
          by === "readStream" ? fetch : fetchWhole,
        ),
  );
  await drive(
    host.siteUrl,
    streamId,
    planQuery({ tokens, pace, stopClock: false }),
  );
  const expected = charactersOf(tokens);
  for (const characters of await Promise.all(reading)) {
    if (characters !== expected) {
      throw new Error(
        `A reader ended with ${characters} of ${expected} characters.`,
      );
    }
  }
  await host.atRest();
  return await host.counters();
}

/** A `fetch` whose responses cannot be read in pieces. */
async function fetchWhole(url: string, init: RequestInit): Promise<Response> {
  const response = await fetch(url, init);
  return Object.defineProperty(response, "body", { value: null });
}

async function readText(
  url: string,
  streamId: string,
  fetch: Fetch,
): Promise<number> {
  let characters = 0;
  const texts = readStream(url, { streamId, fetch });
  for await (const text of texts) characters += text.length;
  return characters;
}

async function followText(url: string, streamId: string): Promise<number> {
  const client = connect(url);
  const follower = follow(client, "pages", streamId);
  await follower.ended();
  await client.close();
  return follower.progress.characters;
}
