// @vitest-environment node
/**
 * How the deployment behaves like Convex where other tests rely on it and would
 * not notice a difference.
 */
import { request as httpRequest, type IncomingMessage } from "node:http";
import { fileURLToPath } from "node:url";
import { ConvexHttpClient } from "convex/browser";
import { ConvexReactClient } from "convex/react";
import { makeFunctionReference } from "convex/server";
import type { Value } from "convex/values";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { WebSocket } from "ws";
import { startDeployment, type LocalDeployment } from "./deployment.js";
import { gates } from "./fixture/gates.js";

const eventually = (assertions: () => void | Promise<void>) =>
  vi.waitFor(assertions, { timeout: 10_000, interval: 5 });

const MiB = 1024 * 1024;
const HOUR_MS = 3_600_000;

let deployment: LocalDeployment;
const log: string[] = [];
const clients: ConvexReactClient[] = [];

beforeEach(async () => {
  deployment = await startDeployment({
    functionsDir: fileURLToPath(new URL("./fixture/app", import.meta.url)),
    log: (line) => log.push(line),
  });
});
afterEach(async () => {
  await Promise.all(clients.splice(0).map((client) => client.close()));
  await deployment.stop();
});

function newClient(): ConvexReactClient {
  const client = new ConvexReactClient(deployment.url, {
    webSocketConstructor: WebSocket as never,
    unsavedChangesWarning: false,
    logger: false,
  });
  clients.push(client);
  return client;
}

const addNote = makeFunctionReference<"mutation">("notes:add");
const add = (topic: string, text = "x") =>
  deployment.call("notes:add", { topic, text });
const addLater = (topic: string, ms: number) =>
  deployment.call("notes:addLater", { topic, text: "x", ms });
const list = (topic: string) => deployment.call("notes:list", { topic });
const hasRun = (topic: string) =>
  eventually(async () => expect(await list(topic)).toEqual(["x"]));

/** All results of a subscription, oldest first. */
function told(
  client: ConvexReactClient,
  name: string,
  args: Record<string, string | number> = {},
): unknown[] {
  const results: unknown[] = [];
  const watch = client.watchQuery(
    makeFunctionReference<"query">(`notes:${name}`),
    args,
  );
  watch.onUpdate(() => results.push(watch.localQueryResult()));
  return results;
}

describe("clients", () => {
  test("what throws changes nothing, and hands over the data of its ConvexError", async () => {
    const http = new ConvexHttpClient(deployment.url, { logger: false });
    const fail = makeFunctionReference<"mutation">("notes:fail");
    for (const client of [newClient(), http]) {
      await expect(client.mutation(fail, { topic: "a" })).rejects.toMatchObject(
        { data: { code: "no", topic: "a" } },
      );
    }
    expect(await list("a")).toEqual([]);
  });

  test("a mutation whose connection is lost under way runs once", async () => {
    const client = newClient();
    const lists = told(client, "list", { topic: "a" });
    await eventually(() => expect(lists).toEqual([[]]));
    deployment.faults.set({ commitDelayMs: 100 });
    const position = client.mutation(addNote, { topic: "a", text: "x" });
    await eventually(() =>
      expect(deployment.counters.read().functionCalls).toBe(2),
    );
    deployment.faults.dropSockets();
    expect(await position).toBe(0);
    await eventually(() => expect(lists.at(-1)).toEqual(["x"]));
  });
});

test("a commit re-runs only queries that read what it wrote, and none reads on when it has enough", async () => {
  for (const text of ["0", "1", "2"]) await add("a", text);
  const client = newClient();
  const first = told(client, "firstFrom", { topic: "a", from: 1 });
  const beyond = told(client, "firstFrom", { topic: "a", from: 3 });
  const other = told(client, "list", { topic: "b" });
  await eventually(() =>
    expect([first, beyond, other]).toEqual([["1"], [null], [[]]]),
  );
  deployment.counters.reset();
  await client.mutation(addNote, { topic: "a", text: "3" });
  expect(deployment.counters.read().queryRuns).toBe(1);
  expect([first, beyond, other]).toEqual([["1"], [null, "3"], [[]]]);
});

describe("HTTP actions", () => {
  const url = () => `${deployment.siteUrl}/act`;

  /** A response as it arrives on the wire. */
  async function act(how: string) {
    const response = await new Promise<IncomingMessage>((resolve, reject) => {
      const request = httpRequest(url(), { method: "POST" }, resolve);
      request.on("error", reject);
      request.end(how);
    });
    const seen = { text: "", ended: false, cut: false };
    if (how.endsWith("reads nothing")) response.pause();
    else response.on("data", (text: Buffer) => (seen.text += text.toString()));
    response.on("end", () => (seen.ended = true));
    response.on("error", () => (seen.cut = true));
    return { response, seen };
  }

  /** Another action from start to end: time enough for anything late. */
  async function another() {
    gates.open("another");
    const response = await fetch(url(), { method: "POST", body: "another" });
    await response.text();
  }

  test.each(["its connection is cut", "its client reads nothing"])(
    "run on when %s",
    async (how) => {
      const { response, seen } = await act(how);
      if (how.endsWith("reads nothing")) await gates.passed("written");
      else {
        await eventually(() => expect(seen.text).toBe("text"));
        deployment.faults.cutConnections();
        await gates.passed("aborted");
      }
      gates.open(how);
      await eventually(async () => expect(await list(how)).toEqual(["added"]));
      response.destroy();
    },
  );

  test.each([
    "its body ends",
    "an unhandled rejection",
    "an exception in a timer",
    "it is killed",
  ])(
    "are over when %s: the body ends cleanly, the rest never happens",
    async (how) => {
      const { seen } = await act(how);
      await eventually(() => expect(seen.text).toBe("text"));
      if (how === "it is killed") deployment.faults.killActions();
      await eventually(() => expect(seen.ended).toBe(true));
      expect(seen).toEqual({ text: "text", ended: true, cut: false });
      if (how.startsWith("a")) expect(log.join()).toContain("It is stray.");
      gates.open(how);
      await another();
      expect(gates.isOpen(`${how}: it went on`)).toBe(false);
      expect(await list(how)).toEqual([]);
    },
  );
});

test("a refused commit writes nothing, a lost answer hides a commit that was written", async () => {
  const { faults } = deployment;
  faults.set({ refuseCommits: 1 });
  await expect(add("a")).rejects.toThrow("was refused");
  expect(await list("a")).toEqual([]);
  faults.set({ loseAnswers: 1 });
  await expect(add("a")).rejects.toThrow("was lost");
  expect(await list("a")).toEqual(["x"]);
  faults.set({ refuseCommits: 1, only: "notes:fail" });
  expect(await add("a")).toBe(1);
});

describe("what is scheduled", () => {
  test("runs again if its commit is refused, and not at all if what scheduled it failed", async () => {
    await addLater("a", 50);
    deployment.faults.set({ refuseCommits: 2 });
    await hasRun("a");
    expect(deployment.faults.set({}).refuseCommits).toBe(0);
    const failing = deployment.call("notes:fail", { topic: "b" });
    await expect(failing).rejects.toThrow();
    await addLater("c", 0);
    await hasRun("c");
    expect(await list("b")).toEqual([]);
  });

  test("runs when it is due by the deployment's clock, as crons do", async () => {
    await addLater("a", HOUR_MS);
    deployment.setClock(HOUR_MS - 60_000);
    expect(await list("a")).toEqual([]);
    deployment.setClock(HOUR_MS + 1);
    await hasRun("a");
    await hasRun("hourly");
  });
});

describe("limits", () => {
  const store = (text: string) => add("a", text);
  const echo = (value: Value) => deployment.call("notes:echo", { value });

  // test/support/with-limits.test.ts has more of these.
  test.each([
    ["a document of 1 MiB", () => store("a".repeat(MiB)), "(1.00 MiB > max"],
    ["17 MiB", () => echo("a".repeat(17 * MiB)), "(17.00 MiB > maximum"],
    ["half a pair", () => store("half: \ud83d"), "surrogate at position 6."],
  ])("refuse %s", async (_, call, message) => {
    await expect(call()).rejects.toThrow(message);
  });

  test("a transaction reads no more than 16 MiB", async () => {
    for (let i = 0; i < 20; i++) await store("a".repeat(MiB - 1000));
    await expect(list("a")).rejects.toThrow("too much data");
  });
});
