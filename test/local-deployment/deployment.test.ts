// @vitest-environment node
/**
 * How the deployment behaves like Convex where other tests rely on it and would
 * not notice a difference. For actions, see test/runtime.
 */
import { ConvexReactClient } from "convex/react";
import { makeFunctionReference } from "convex/server";
import { afterAll, expect, test, vi } from "vitest";
import { WebSocket } from "ws";
import { startDeployment } from "./deployment.js";

const MiB = 1024 * 1024;

const deployment = await startDeployment({
  functionsDir: "test/support/app",
  log: () => {},
});
const client = new ConvexReactClient(deployment.url, {
  webSocketConstructor: WebSocket as never,
  unsavedChangesWarning: false,
  logger: false,
});
afterAll(async () => {
  await client.close();
  await deployment.stop();
});

const { counters, faults } = deployment;
const eventually = (assertions: () => void) =>
  vi.waitFor(assertions, { timeout: 10_000, interval: 5 });
const call = (name: string, streamId: string) =>
  deployment.call(`chat:${name}`, { streamId });

/** All results of a subscription, oldest first. */
function told(name: string, streamId: unknown): unknown[] {
  const results: unknown[] = [];
  const query = makeFunctionReference<"query">(`chat:${name}`);
  const watch = client.watchQuery(query, { streamId });
  watch.onUpdate(() => results.push(watch.localQueryResult()));
  return results;
}

test("a mutation whose connection is lost under way runs once", async () => {
  const runs = told("runs", "lost");
  await eventually(() => expect(runs).toEqual([0]));
  counters.reset();
  faults.set({ commitDelayMs: 100 });
  const run = makeFunctionReference<"mutation">("chat:noteRun");
  const noted = client.mutation(run, { streamId: "lost" });
  await eventually(() => expect(counters.read().functionCalls).toBe(1));
  faults.dropSockets();
  await noted;
  faults.set({ commitDelayMs: 0 });
  expect(runs).toEqual([0, 1]);
});

test("a commit re-runs only queries that read what it wrote", async () => {
  const [one, other] = [
    await deployment.call("chat:create"),
    await deployment.call("chat:create"),
  ];
  const bodies = [told("body", one), told("body", other)];
  const pending = { text: "", status: "pending" };
  await eventually(() => expect(bodies).toEqual([[pending], [pending]]));
  counters.reset();
  const stop = makeFunctionReference<"mutation">("chat:stop");
  await client.mutation(stop, { streamId: one });
  expect(counters.read().queryRuns).toBe(1);
  const done = { text: "", status: "done" };
  expect(bodies).toEqual([[pending, done], [pending]]);
});

test("a refused commit writes nothing, a lost answer hides a commit that was written", async () => {
  faults.set({ refuseCommits: 1, only: "noteRun" });
  await expect(call("noteRun", "refused")).rejects.toThrow("was refused");
  expect(await call("runs", "refused")).toBe(0);
  faults.set({ loseAnswers: 1 });
  await call("goOn", "lost answer");
  await expect(call("noteRun", "lost answer")).rejects.toThrow("was lost");
  expect(await call("runs", "lost answer")).toBe(1);
});

// test/support/with-limits.test.ts has more of these.
test("too large documents and arguments, half characters, and reads of more than 16 MiB are refused", async () => {
  const refuses = (text: string, why: string) =>
    expect(call("noteRequest", text)).rejects.toThrow(why);
  await refuses("a".repeat(MiB), "(1.00 MiB > max");
  await refuses("a".repeat(17 * MiB), "(17.00 MiB > max");
  await refuses("half: \ud83d", "surrogate at position 6.");
  for (let i = 0; i < 17; i++) await call("noteRequest", "a".repeat(MiB - 999));
  await expect(call("requests", "")).rejects.toThrow("too much data");
});
