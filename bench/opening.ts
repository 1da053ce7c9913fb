/** Somebody opens a chat whose replies have all been written: what reading them costs. */
import type { Counters } from "../test/local-deployment/deployment.js";
import { planQuery } from "./apps/writer.js";
import { connect, follow } from "./followers.js";
import type { Host } from "./bench-host.js";
import { drive } from "./host-request.js";
import type { Target } from "./targets.js";

export interface OpeningCase {
  replies: number;
  tokens: number;
}

export interface OpeningResult extends Counters {
  /** Until the last of the replies is there (ms). */
  took: number;
}

export async function opening(
  host: Host,
  target: Target,
  what: OpeningCase,
): Promise<OpeningResult> {
  const create = async () => (await host.call("streams:create")) as string;
  const streamIds = await writeReplies(create, host.siteUrl, what);
  await host.atRest();
  await host.reset();
  const took = await readChat(host.url, target, streamIds);
  return { ...(await host.counters()), took };
}

/** Writes replies to their end, one after the other. Returns their streams. */
export async function writeReplies(
  create: () => Promise<string>,
  siteUrl: string,
  { replies, tokens }: OpeningCase,
): Promise<string[]> {
  const query = planQuery({ tokens, pace: 5, stopClock: true });
  const streamIds: string[] = [];
  for (let i = 0; i < replies; i++) {
    const streamId = await create();
    await drive(siteUrl, streamId, query);
    streamIds.push(streamId);
  }
  return streamIds;
}

/** Reads all of them on one connection. Returns how long it took (ms). */
export async function readChat(
  url: string,
  target: Target,
  streamIds: readonly string[],
): Promise<number> {
  const begin = performance.now();
  const client = connect(url);
  const readers = streamIds.map((streamId) =>
    follow(client, target.follower, streamId),
  );
  await Promise.all(readers.map((reader) => reader.ended()));
  const took = performance.now() - begin;
  await client.close();
  return took;
}
