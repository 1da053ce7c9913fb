/**
 * The counts of the benchmark, as limits: they do not depend on the machine.
 * `npm run bench` says what they are worth beside the published package.
 */
import "./virtual-clock.js";
import { afterAll, beforeAll, expect, test } from "vitest";
import {
  startDeployment,
  type LocalDeployment,
} from "../test/local-deployment/deployment.js";
import { atRest, following, type FollowingCase } from "./following.js";
import { readChat, writeReplies } from "./opening.js";
import { targets } from "./targets.js";

const target = targets.ours;
let deployment: LocalDeployment;

beforeAll(async () => {
  const { name, folder } = target.component;
  deployment = await startDeployment({
    functionsDir: target.app,
    components: { [name]: folder },
    log: () => {},
  });
});

afterAll(() => deployment.stop());

/** A reply of 2,000 tokens, 8,240 characters: 10 s at 200 tokens a second. */
const reply: FollowingCase = {
  tokens: 2000,
  pace: 5,
  followers: 1,
  clock: "stopped",
};

test("a reply of ten seconds is saved in at most 45 commits", async () => {
  const counts = await following(deployment, target, reply);
  // Four a second, and creation, claim, the first and the last save. More would
  // show no reader anything sooner that he could see, and be billed to all.
  expect(counts.commits).toBeLessThanOrEqual(45);
  // Yet saved as it goes, so that no follower is a second behind.
  expect(counts.commits).toBeGreaterThan(12);
});

test("each commit reads a few documents, however long the text is", async () => {
  const { commits, documentsRead, bytesRead, characters } = await following(
    deployment,
    target,
    reply,
  );
  // The append reads the stream and its newest chunk, the follower's query the
  // stream and one or two chunks, at a page's end once more. All chunks: 150.
  expect(documentsRead / commits).toBeLessThan(7);
  // All of these are pages of half a kilobyte, or less.
  expect(bytesRead / characters).toBeLessThan(16);
});

test("the bytes written are a few times the text", async () => {
  const { bytesWritten, characters } = await following(
    deployment,
    target,
    reply,
  );
  // A page is rewritten as it grows (twice or thrice, at this pace), and packed
  // once at the end.
  expect(bytesWritten / characters).toBeLessThan(4.5);
});

test("a follower gets each character a few times, however long the text is", async () => {
  const short = await following(deployment, target, reply);
  const long = await following(deployment, target, { ...reply, tokens: 8000 });
  const perCharacter = (counts: typeof short) =>
    counts.bytesPushed / counts.characters;
  // Half a page and what is new, at each commit, in an envelope of 250 bytes.
  expect(perCharacter(short)).toBeLessThan(5);
  expect(perCharacter(long)).toBeLessThan(5);
});

test("ten followers cost as many queries as one, and ten times the updates", async () => {
  const one = await following(deployment, target, reply);
  const ten = await following(deployment, target, { ...reply, followers: 10 });
  // All ask from the same offsets, so one run answers all of them.
  expect(ten.queryRuns).toBeLessThanOrEqual(one.queryRuns + 2);
  expect(ten.documentsRead).toBeLessThanOrEqual(one.documentsRead + 10);
  // An update for each commit, and one more for each page of some 600 characters.
  const perFollower = (ten.functionCalls - one.functionCalls) / 9;
  expect(perFollower).toBeLessThan(60);
});

test("a finished reply is read from two documents: the stream and its text", async () => {
  const streamIds = await writeReplies(
    async () => (await deployment.call("streams:create")) as string,
    deployment.siteUrl,
    { replies: 3, tokens: 2000 },
  );
  await atRest(deployment.counters);
  deployment.counters.reset();
  await readChat(deployment.url, target, streamIds);
  expect(deployment.counters.read().documentsRead).toBe(2 * 3);
});
