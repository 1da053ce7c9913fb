/** What replies cost, and how long they take: written, followed, opened, left silent. */
import { readStream, type Fetch } from "../src/browser/index.js";
import type {
  Counters,
  LocalDeployment,
} from "../test/local-deployment/deployment.js";
import {
  charactersOf,
  meeting,
  tokens as tokensOf,
  writeUrl,
  type Plan,
} from "./apps/writer.js";
import type { Host } from "./bench-host.js";
import { costOfThousand, median, percentile } from "./figures.js";
import { connect, follow } from "./followers.js";
import { targets, type Target, type TargetName } from "./targets.js";

const MINUTE_MS = 60_000;
const wallClock = () => performance.timeOrigin + performance.now();
const pause = (ms: number) => new Promise((goOn) => setTimeout(goOn, ms));

export const createStream = async (
  host: Host,
  create = "create",
): Promise<string> => (await host.call(`streams:${create}`)) as string;

/** Drives a stream as a browser does. Returns the time (ms) to the first byte and to the end. */
async function drive(
  host: { siteUrl: string },
  streamId: string,
  plan: Plan,
): Promise<{ firstByte: number; took: number }> {
  const begin = performance.now();
  const response = await fetch(writeUrl(host, plan), {
    method: "POST",
    body: JSON.stringify({ streamId }),
  });
  let firstByte = NaN;
  let text = "";
  const decoder = new TextDecoder();
  for await (const bytes of response.body ?? []) {
    if (text === "") firstByte = performance.now() - begin;
    text += decoder.decode(bytes, { stream: true });
  }
  // The agent component's response has no text.
  if (response.status !== 204) checkLength(text.length, plan.tokens);
  return { firstByte, took: performance.now() - begin };
}

function checkLength(characters: number, tokens: number): void {
  const expected = charactersOf(tokens);
  if (characters === expected) return;
  throw new Error(`A reader got ${characters} of ${expected} characters.`);
}

/** Waits until nothing has happened for a while, so all the work that an ended stream schedules is done. */
export async function atRest(
  counters: LocalDeployment["counters"],
): Promise<void> {
  let before = "";
  for (;;) {
    const now = JSON.stringify(counters.read());
    if (now === before) return;
    before = now;
    await pause(100);
  }
}

export interface FollowingCase {
  tokens: number;
  /** Milliseconds from token to token, on a clock that stands still while the database works. */
  pace: number;
  followers: number;
}

/** What one reply and its followers cost. Runs in the process of the deployment. */
export async function following(
  deployment: LocalDeployment,
  target: Target,
  { tokens, pace, followers: count }: FollowingCase,
): Promise<Counters> {
  deployment.counters.reset();
  const streamId = (await deployment.call("streams:create")) as string;
  const clients = Array.from({ length: count }, () => connect(deployment.url));
  const followers = clients.map((client) =>
    follow(client, target.follower, streamId),
  );
  await Promise.all(followers.map((follower) => follower.reached(0)));
  meeting.settled = async (progress) => {
    await Promise.all(followers.map((follower) => follower.reached(progress)));
  };
  await drive(deployment, streamId, { tokens, pace, stopClock: true });
  await Promise.all(followers.map((follower) => follower.ended()));
  meeting.settled = () => Promise.resolve();
  await atRest(deployment.counters);
  const counters = deployment.counters.read();
  for (const { progress } of followers) {
    checkLength(progress.characters, tokens);
  }
  await Promise.all(clients.map((client) => client.close()));
  return counters;
}

/** What driving a reply takes (ms), while commits take `commitDelay`. */
export async function driving(
  host: Host,
  commitDelay: number,
  { tokens, pace }: { tokens: number; pace: number },
) {
  await host.commitDelay(commitDelay);
  const streamId = await createStream(host);
  const { firstByte, took } = await drive(host, streamId, { tokens, pace });
  await host.commitDelay(0);
  const { waits } = await host.record(streamId);
  return {
    firstByte,
    appendP50: median(waits),
    appendP99: percentile(waits, 0.99),
    appendMax: Math.max(...waits),
    /** Beyond the model's own time. */
    beyond: took - (tokens - 1) * pace,
    tokensPerSecond: tokens / (took / 1000),
  };
}

/** What it costs to open a chat of complete replies on one connection, and how long it takes (ms). */
export async function opening(
  host: Host,
  name: TargetName,
  { replies, tokens }: { replies: number; tokens: number },
) {
  const streamIds: string[] = [];
  for (let i = 0; i < replies; i++) {
    const streamId = await createStream(host);
    await drive(host, streamId, { tokens, pace: 5, stopClock: true });
    streamIds.push(streamId);
  }
  await host.atRest();
  await host.reset();
  const begin = performance.now();
  const client = connect(host.url);
  await Promise.all(
    streamIds.map((streamId) =>
      follow(client, targets[name].follower, streamId).ended(),
    ),
  );
  const allThere = performance.now() - begin;
  await client.close();
  const { documentsRead, bytesRead, bytesPushed } = await host.counters();
  return { documentsRead, bytesRead, bytesPushed, allThere };
}

/** Many streams are written at once, and each is followed. */
export async function many(
  host: Host,
  name: TargetName,
  streams: number,
  plan: Plan,
) {
  const followed = await Promise.all(
    Array.from({ length: streams }, async () => {
      const streamId = await createStream(host);
      const client = connect(host.url);
      const follower = follow(client, targets[name].follower, streamId);
      await follower.reached(0);
      /** When it had how much. */
      const steps: { characters: number; at: number }[] = [];
      return { streamId, client, follower, steps };
    }),
  );
  await host.reset();
  const computed = await host.computed();
  const begin = performance.now();
  await Promise.all(
    followed.map(async ({ streamId, follower, steps }, i) => {
      follower.on("progress", ({ characters }) =>
        steps.push({ characters, at: wallClock() }),
      );
      // Within four seconds: connections made all at once would be refused, and retried seconds later.
      await pause((i * 4000) / streams);
      await drive(host, streamId, plan);
      await follower.ended();
    }),
  );
  const allComplete = performance.now() - begin;
  const { commits } = await host.counters();
  const cpu = (await host.computed()) - computed;
  const memory = await host.peakMemory();
  const lags: number[] = [];
  let lost = 0;
  for (const { streamId, client, follower, steps } of followed) {
    const { times } = await host.record(streamId);
    let end = 0;
    let step = 0;
    for (const [i, token] of tokensOf(plan.tokens).entries()) {
      end += token.length;
      while ((steps[step]?.characters ?? Infinity) < end) step++;
      lags.push((steps[step]?.at ?? NaN) - (times[i] ?? NaN));
    }
    lost += end - follower.progress.characters;
    await client.close();
  }
  return {
    ...{ allComplete, cpu, memory, lost },
    commitsPerSecond: commits / (allComplete / 1000),
    lagP50: median(lags),
    lagP99: percentile(lags, 0.99),
  };
}

/** What all readers together add to the cost of a stream, for each minute of writing. */
export async function minute(
  withReaders: Host,
  withoutThem: Host,
  name: TargetName,
  plan: Plan,
  readers: number,
) {
  // By the real clock, so at the same time.
  const [read, unread] = await Promise.all([
    written(
      withReaders,
      plan,
      Array.from({ length: readers }, () => targets[name].follower),
    ),
    written(withoutThem, plan),
  ]);
  const minutes = ((plan.tokens - 1) * plan.pace) / MINUTE_MS;
  const perMinute = added(read, unread, minutes);
  const { queryRuns, functionCalls, documentsRead, bytesRead, bytesPushed } =
    perMinute;
  return {
    ...{ queryRuns, functionCalls, documentsRead, bytesRead, bytesPushed },
    costOfMinutes: costOfThousand(perMinute),
  };
}

/** Everything that is counted while a new stream is written and read, and after. */
async function written(
  host: Host,
  plan: Plan,
  readBy: Target["follower"][] = [],
  create?: string,
): Promise<Counters> {
  const streamId = await createStream(host, create);
  await host.reset();
  const reading = readBy.map((kind) => read(host, streamId, kind));
  await drive(host, streamId, plan);
  for (const length of await Promise.all(reading)) {
    checkLength(length, plan.tokens);
  }
  await host.atRest();
  return await host.counters();
}

/** A `fetch` whose responses cannot be read in pieces. */
const whole: Fetch = async (url, init) => {
  const response = await fetch(url, init);
  return Object.defineProperty(response, "body", { value: null });
};

/** Reads a stream to its end. Returns its length. */
async function read(host: Host, streamId: string, kind: Target["follower"]) {
  let length = 0;
  if (kind === "readStream" || kind === "long-polls") {
    const options = { streamId, fetch: kind === "readStream" ? fetch : whole };
    const texts = readStream(`${host.siteUrl}/resume`, options);
    for await (const text of texts) length += text.length;
  } else {
    const client = connect(host.url);
    const follower = follow(client, kind, streamId);
    await follower.ended();
    await client.close();
    length = follower.progress.characters;
  }
  return length;
}

/** What more was counted than in another run, for each of some minutes. */
function added(more: Counters, than: Counters, minutes = 1): Counters {
  const counts = Object.entries(more) as [keyof Counters, number][];
  return Object.fromEntries(
    counts.map(([name, count]) => [name, (count - than[name]) / minutes]),
  ) as Counters;
}

/** The counters that show something while nothing is written. */
const waited = ({
  functionCalls,
  documentsRead,
  bytesRead,
  bytesWritten,
}: Counters) => ({ functionCalls, documentsRead, bytesRead, bytesWritten });

/** What a writer's silence of five minutes adds to a reply with one follower. */
export async function silence(host: Host) {
  const reply = { tokens: 2, followers: 1 };
  const quick = await host.following({ ...reply, pace: 5 });
  const slow = await host.following({ ...reply, pace: 5 * MINUTE_MS });
  return waited(added(slow, quick));
}

/** What happens in so many minutes on the deployment's clock. */
async function lasting(host: Host, minutes: number, step: number) {
  await host.atRest();
  await host.reset();
  for (let passed = step; passed <= minutes; passed += step) {
    await host.setClock(passed * MINUTE_MS);
    await host.atRest();
  }
  return waited(await host.counters());
}

/** 500 streams that are created and never written, until they have timed out. */
export async function unwritten(host: Host) {
  for (let i = 0; i < 500; i++) await createStream(host);
  return lasting(host, 21, 1);
}

export const emptyDay = (host: Host) => lasting(host, 24 * 60, 60);

/**
 * What a background writer adds to a reply that a page drives. It is due after two
 * seconds, before or after the reply ends.
 */
export const fallback = (pace: number) => async (host: Host) => {
  const plan = { tokens: 2, pace };
  const without = await written(host, plan);
  const withIt = await written(host, plan, [], "createWithFallback");
  return waited(added(withIt, without));
};
