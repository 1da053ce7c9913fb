/**
 * The counts of the benchmark, as limits: they do not depend on the machine.
 * `npm run bench` compares them with the published package's.
 */
import { afterAll, beforeAll, expect, test } from "vitest";
import type { LocalDeployment } from "../test/local-deployment/deployment.js";
import { charactersOf } from "./apps/writer.js";
import { startTarget, tasksOf, type Host } from "./bench-host.js";
import { following, opening } from "./replies.js";
import { targets } from "./targets.js";

const target = targets.ours;
let deployment: LocalDeployment;
beforeAll(async () => {
  deployment = await startTarget(target);
});
afterAll(() => deployment.stop());

/** A reply of 2,000 tokens, 8,240 characters: 10 s at 200 tokens a second. */
async function count({ tokens = 2000, followers = 1 } = {}) {
  const what = { tokens, pace: 5, followers };
  const counted = await following(deployment, target, what);
  return { ...counted, characters: charactersOf(tokens) };
}

test("a reply of ten seconds is saved often enough, and no more; its commits read and write little", async () => {
  const reply = await count();
  const { commits, documentsRead, bytesRead, bytesWritten, characters } = reply;
  // Four a second, and creation, claim, the first and the last save. More would
  // show readers nothing sooner, and be billed to everyone.
  expect(commits).toBeLessThanOrEqual(45);
  // Yet saved as it goes, so that no follower is a second behind.
  expect(commits).toBeGreaterThan(12);
  // The append reads the stream and its newest chunk, the follower's query the
  // stream and one or two chunks, at a page's end once more. All chunks: 150.
  expect(documentsRead / commits).toBeLessThan(7);
  // All of these are pages of half a kilobyte, or less.
  expect(bytesRead / characters).toBeLessThan(16);
  // A page is rewritten as it grows (two or three times, at this pace), and
  // packed once at the end.
  expect(bytesWritten / characters).toBeLessThan(4.5);
});

test("a follower gets each character a few times, however long the text is", async () => {
  for (const tokens of [2000, 8000]) {
    const { bytesPushed, characters } = await count({ tokens });
    // Half a page and what is new, at each commit, in an envelope of 250 bytes.
    expect(bytesPushed / characters).toBeLessThan(5);
  }
});

test("ten followers cost as many queries as one, and ten times the updates", async () => {
  const one = await count();
  const ten = await count({ followers: 10 });
  // All ask from the same offsets, so one run answers all of them.
  expect(ten.queryRuns).toBeLessThanOrEqual(one.queryRuns + 2);
  expect(ten.documentsRead).toBeLessThanOrEqual(one.documentsRead + 10);
  // An update for each commit, and one more for each page of some 600 characters.
  const perFollower = (ten.functionCalls - one.functionCalls) / 9;
  expect(perFollower).toBeLessThan(60);
});

test("while the model is silent, the writer looks once a second whether it was stopped", async () => {
  const silent = { tokens: 2, pace: 60_000, followers: 1 };
  const { functionCalls } = await following(deployment, target, silent);
  expect(functionCalls).toBeGreaterThan(55);
  expect(functionCalls).toBeLessThan(80);
});

test("a finished reply is read from two documents: the stream and its text", async () => {
  const { url, siteUrl } = deployment;
  const tasks = { ...tasksOf(deployment, target), url, siteUrl };
  const host = tasks as unknown as Host;
  const chat = { replies: 3, tokens: 2000 };
  const { documentsRead } = await opening(host, "ours", chat);
  expect(documentsRead).toBe(2 * 3);
});
