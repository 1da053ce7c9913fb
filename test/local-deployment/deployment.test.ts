// @vitest-environment node
import { request as httpRequest, type IncomingMessage } from "node:http";
import { ConvexHttpClient } from "convex/browser";
import { makeFunctionReference } from "convex/server";
import { ConvexError } from "convex/values";
import { describe, expect, test } from "vitest";
import { localToken, startDeployment } from "./deployment.js";
import { gates } from "./fixture/gates.js";
import {
  deployForEachTest,
  eventually,
  functionsDir,
  notes,
  told,
} from "./fixture/start.js";
import { memory } from "./memory.js";

const local = deployForEachTest();
const { add, list } = local;
const MiB = 1024 * 1024;
const HOUR_MS = 3_600_000;

/** What something costs. */
async function costOf(work: () => Promise<unknown>) {
  const { counters } = local.deployment;
  counters.reset();
  await work();
  return counters.read();
}

describe("clients", () => {
  test("a subscription gets the result, and every new one; after a mutation it is there", async () => {
    const client = local.client();
    const lists = told(client, "list", { topic: "a" });
    await eventually(() => expect(lists).toEqual([[]]));
    await client.mutation(notes.add, { topic: "a", text: "one" });
    expect(lists.at(-1)).toEqual(["one"]);
    await client.mutation(notes.add, { topic: "a", text: "two" });
    expect(lists).toEqual([[], ["one"], ["one", "two"]]);
  });

  test("what throws changes nothing, and hands over the data of its ConvexError", async () => {
    const client = local.client();
    const http = new ConvexHttpClient(local.deployment.url, { logger: false });
    const fail = makeFunctionReference<"mutation">("notes:fail");
    for (const caller of [client, http]) {
      await expect(caller.mutation(fail, { topic: "a" })).rejects.toMatchObject(
        { data: { code: "no", topic: "a" } },
      );
    }
    expect(await list("a")).toEqual([]);
    const results = told(client, "failingQuery");
    await eventually(() => expect(results[0]).toBeInstanceOf(ConvexError));
  });

  test.each([
    ["notes:secret", "Could not find public function for 'notes:secret'"],
    ["lib:total", "Could not find public function"],
    ["notes:add", "as query, but it is defined as mutation"],
  ])("cannot query %s", async (name, message) => {
    const query = makeFunctionReference<"query">(name);
    const http = new ConvexHttpClient(local.deployment.url, { logger: false });
    for (const client of [local.client(), http]) {
      await expect(client.query(query, {})).rejects.toThrow(message);
    }
  });

  test("over HTTP too: queries, mutations, actions, and an identity", async () => {
    const http = new ConvexHttpClient(local.deployment.url, { logger: false });
    expect(await http.mutation(notes.add, { topic: "a", text: "x" })).toBe(0);
    const act = makeFunctionReference<"action">("notes:addThroughAction");
    const args = { topic: "a", text: "y" };
    expect(await http.action(act, args)).toEqual(["x", "y"]);
    http.setAuth(localToken("ann"));
    const whoAmI = makeFunctionReference<"query">("notes:whoAmI");
    expect(await http.query(whoAmI, {})).toBe("ann");
    http.setAuth("rubbish");
    await expect(http.query(whoAmI, {})).rejects.toThrow("InvalidAuthHeader");
  });

  test("queries run as the token's user, and again when it changes", async () => {
    const client = local.client();
    const names = told(client, "whoAmI");
    await eventually(() => expect(names).toEqual([null]));
    client.setAuth(() => Promise.resolve(localToken("ann")));
    await eventually(() => expect(names).toEqual([null, "ann"]));
    const { deployment } = local;
    const bob = { token: localToken("bob") };
    expect(await deployment.call("notes:whoAmI", {}, bob)).toBe("bob");
  });

  test("a thousand mutations at once are serialized", async () => {
    const adding = Array.from({ length: 1000 }, () => add("a"));
    expect(new Set(await Promise.all(adding)).size).toBe(1000);
  });

  test("a mutation whose connection is lost under way runs once", async () => {
    const { deployment } = local;
    const client = local.client();
    const lists = told(client, "list", { topic: "a" });
    await eventually(() => expect(lists).toEqual([[]]));
    deployment.faults.set({ commitDelayMs: 100 });
    const position = client.mutation(notes.add, { topic: "a", text: "x" });
    await eventually(() =>
      expect(deployment.counters.read().functionCalls).toBe(2),
    );
    deployment.faults.dropSockets();
    expect(await position).toBe(0);
    await eventually(() => expect(lists.at(-1)).toEqual(["x"]));
  });

  test("the backend stops and starts again, with its data, on its ports", async () => {
    const { deployment } = local;
    const client = local.client();
    const lists = told(client, "list", { topic: "a" });
    await client.mutation(notes.add, { topic: "a", text: "one" });
    await deployment.call("notes:addLater", {
      topic: "later",
      text: "x",
      ms: 30,
    });
    await deployment.down();
    await expect(fetch(deployment.siteUrl)).rejects.toThrow();
    const whileDown = client.mutation(notes.add, { topic: "a", text: "two" });
    await new Promise((resolve) => setTimeout(resolve, 60));
    await deployment.up();
    expect(await whileDown).toBe(1);
    await eventually(async () => {
      expect(lists.at(-1)).toEqual(["one", "two"]);
      expect(await list("later")).toEqual(["x"]);
    });
  });
});

describe("what runs, and what does not", () => {
  test("subscribers with the same arguments share one run, at first and for each commit", async () => {
    const clients = Array.from({ length: 20 }, () => local.client());
    const cost = await costOf(async () => {
      const lists = clients.map((each) => told(each, "list", { topic: "a" }));
      const all = (value: unknown[]) =>
        eventually(() =>
          lists.forEach((list) => expect(list.at(-1)).toEqual(value)),
        );
      await all([]);
      await add("a", "one");
      await all(["one"]);
    });
    expect(cost).toMatchObject({
      queryRuns: 2,
      // 20 subscriptions, 1 mutation, 20 updates.
      functionCalls: 41,
      commits: 1,
      documentsWritten: 1,
      documentsRead: 1,
    });
  });

  test("a commit re-runs only the queries that read what it wrote, and no query reads on when it has enough", async () => {
    for (const text of ["0", "1", "2"]) await add("a", text);
    const client = local.client();
    const first = told(client, "firstFrom", { topic: "a", from: 1 });
    const beyond = told(client, "firstFrom", { topic: "a", from: 3 });
    const other = told(client, "list", { topic: "b" });
    await eventually(() =>
      expect([first, beyond, other]).toEqual([["1"], [null], [[]]]),
    );
    const note = { topic: "a", text: "3" };
    const cost = await costOf(() => client.mutation(notes.add, note));
    expect(cost.queryRuns).toBe(1);
    expect([first, beyond, other]).toEqual([["1"], [null, "3"], [[]]]);
  });

  test("moving a document from one index range to another updates both", async () => {
    await add("a", "one");
    const client = local.client();
    const a = told(client, "list", { topic: "a" });
    const b = told(client, "list", { topic: "b" });
    await eventually(() => expect([a, b]).toEqual([[["one"]], [[]]]));
    // Within its transaction, the mutation sees its own writes in the index.
    const rename = makeFunctionReference<"mutation">("notes:rename");
    const seen: unknown = await client.mutation(rename, { from: "a", to: "b" });
    expect(seen).toEqual([0, 1]);
    expect([a.at(-1), b.at(-1)]).toEqual([[], ["one"]]);
  });

  test("a valid result costs a new subscriber, and an action, no run", async () => {
    await add("a", "one");
    await list("a");
    const cost = await costOf(() =>
      local.client().query(notes.list, { topic: "a" }),
    );
    expect(cost).toMatchObject({ queryRuns: 0, functionCalls: 1 });
    const acted = await costOf(() =>
      local
        .client()
        .action(makeFunctionReference<"action">("notes:addThroughAction"), {
          topic: "a",
          text: "two",
        }),
    );
    // The action, its mutation, its query twice; the query runs once.
    expect(acted).toMatchObject({ functionCalls: 4, queryRuns: 1 });
  });
});

describe("HTTP actions", () => {
  const at = (path: string) => local.deployment.siteUrl + path;
  const post = (path: string, body: string) =>
    fetch(at(path), { method: "POST", body });

  /** A response as it arrives on the wire. */
  async function received(path: string, body: string) {
    const response = await new Promise<IncomingMessage>((resolve, reject) => {
      const request = httpRequest(at(path), { method: "POST" }, resolve);
      request.on("error", reject);
      request.end(body);
    });
    const seen = { text: "", ended: false, cut: false };
    response.setEncoding("utf8");
    response.on("data", (text: string) => (seen.text += text));
    response.on("end", () => (seen.ended = true));
    response.on("error", () => (seen.cut = true));
    return { response, seen };
  }

  /** Another action from start to end: time enough for what is late. */
  async function another() {
    gates.open("another");
    await (await post("/gated", "another")).text();
  }

  test("send text as it is written", async () => {
    const { seen } = await received("/gated", "written");
    await eventually(() => expect(seen.text).toBe("one"));
    gates.open("written");
    await eventually(() => expect(seen.ended).toBe(true));
    expect(seen.text).toBe("onetwo 1 saved");
  });

  test("are not held up by a client that reads nothing, and keep nothing that was read", async () => {
    const request = httpRequest(at("/flood?count=1000&size=16384&gate=unread"));
    request.on("response", (response) => response.pause());
    request.on("error", () => {});
    request.end();
    await gates.passed("unread flooded");
    request.destroy();

    const before = await memory();
    let bytes = 0;
    const ended = new Promise((resolve) => {
      httpRequest(at("/flood?count=40000&size=1&gate=read"), (response) => {
        response.on("data", (part: Buffer) => (bytes += part.length));
        response.on("end", resolve);
      }).end();
    });
    await eventually(() => expect(bytes).toBe(40_000));
    expect((await memory()).heap - before.heap).toBeLessThan(6e6);
    gates.open("read");
    await ended;
  });

  test("run on when their client goes, or its connection is cut; the signal tells them", async () => {
    for (const how of ["gone", "cut"]) {
      const { response, seen } = await received("/gated", how);
      await eventually(() => expect(seen.text).toBe("one"));
      if (how === "gone") response.destroy();
      else local.deployment.faults.cutConnections();
      await gates.passed(`${how} aborted`);
      gates.open(how);
      await eventually(async () => expect(await list(how)).toEqual(["two"]));
    }
  });

  test.each([
    "its body ends",
    "an unhandled rejection",
    "an exception in a timer",
    "an exception in an abort listener",
    "it is killed",
  ])(
    "are over when %s: the body ends cleanly, the rest never happens",
    async (how) => {
      const { seen } = await received("/ends", how);
      await eventually(() => expect(seen.text).toBe("text"));
      if (how === "it is killed") local.deployment.faults.killActions();
      await eventually(() => expect(seen.ended).toBe(true));
      expect(seen).toEqual({ text: "text", ended: true, cut: false });
      if (how.startsWith("a"))
        expect(local.log.join()).toContain("It is stray.");
      gates.open(how);
      await another();
      expect(gates.isOpen(`${how}: it went on`)).toBe(false);
      expect(await list(how)).toEqual([]);
    },
  );

  test("are over when the client leaves before the response's head", async () => {
    const leaving = new AbortController();
    const { signal } = leaving;
    const answer = fetch(at("/late-head"), { method: "POST", signal });
    await gates.passed("late head");
    leaving.abort();
    await expect(answer).rejects.toThrow();
    await gates.passed("late head tried");
    await another();
    expect(await list("late head")).toEqual([]);
    expect(local.log.join()).toContain("before the response's head");
  });

  test("drop what goes beyond 20 MiB, without an error", async () => {
    gates.open("full");
    const response = await fetch(at(`/flood?count=25&size=${MiB}&gate=full`));
    expect((await response.arrayBuffer()).byteLength).toBe(20 * MiB);
  });

  test("have no identity by a token that is not Convex's", async () => {
    const whoAmI = async (token: string) => {
      const headers = { authorization: `Bearer ${token}` };
      return (await (
        await fetch(at("/whoami"), { headers })
      ).json()) as unknown;
    };
    expect(await whoAmI("api-key")).toBeNull();
    expect(await whoAmI(localToken("ann"))).toBe("ann");
  });
});

test("an unhandled rejection fails a client's action, not the process", async () => {
  const action = makeFunctionReference<"action">("notes:actionThatRejects");
  await expect(local.client().action(action, {})).rejects.toThrow(
    "nobody waits for this",
  );
  expect(await list("a")).toEqual([]);
});

describe("faults", () => {
  test("a refused commit writes nothing, a lost answer hides a commit that was written", async () => {
    const { faults } = local.deployment;
    faults.set({ refuseCommits: 1 });
    await expect(add("a")).rejects.toThrow("was refused");
    expect(await list("a")).toEqual([]);
    faults.set({ loseAnswers: 1 });
    await expect(add("a")).rejects.toThrow("was lost");
    expect(await list("a")).toEqual(["x"]);
    faults.set({ refuseCommits: 1, only: "notes:fail" });
    expect(await add("a")).toBe(1);
  });

  test("delayed commits wait beside one another", async () => {
    local.deployment.faults.set({ commitDelayMs: 150 });
    const began = performance.now();
    await Promise.all(Array.from({ length: 20 }, () => add("a")));
    const took = performance.now() - began;
    expect(took).toBeGreaterThanOrEqual(149);
    // One after the other it would be 3 s.
    expect(took).toBeLessThan(1500);
  });

  test("are set, and what is counted is read, over HTTP", async () => {
    const control = async (path: string, body?: object) => {
      const response = await fetch(
        `${local.deployment.siteUrl}/_local${path}`,
        {
          method: body === undefined ? "GET" : "POST",
          body: JSON.stringify(body),
        },
      );
      expect(response.headers.get("access-control-allow-origin")).toBe("*");
      return (await response.json()) as unknown;
    };
    await add("a");
    expect(await control("/counters")).toMatchObject({ commits: 1 });
    expect(await control("/reset", {})).toMatchObject({ commits: 0 });
    const settings = { commitDelayMs: 7 };
    expect(await control("/faults", settings)).toMatchObject(settings);
    expect(local.deployment.faults.settings).toMatchObject(settings);
    expect(await control("/faults", { commitDelay: 7 })).toEqual({
      error: expect.stringContaining("There are: commitDelayMs") as string,
    });
  });
});

describe("what is scheduled", () => {
  const addLater = (topic: string, ms: number) =>
    local.deployment.call("notes:addLater", { topic, text: "x", ms });
  const hasRun = (topic: string) =>
    eventually(async () => expect(await list(topic)).toEqual(["x"]));

  test("runs again if its commit is refused, and not at all if what scheduled it failed", async () => {
    const { deployment } = local;
    await addLater("a", 50);
    deployment.faults.set({ refuseCommits: 2 });
    await hasRun("a");
    expect(deployment.faults.settings.refuseCommits).toBe(0);
    await expect(
      deployment.call("notes:fail", { topic: "b" }),
    ).rejects.toThrow();
    await addLater("c", 0);
    await hasRun("c");
    expect(await list("b")).toEqual([]);
  });

  test("runs when it is due by the deployment's clock, as crons do", async () => {
    const { deployment } = local;
    await addLater("a", HOUR_MS);
    deployment.setClock(HOUR_MS - 60_000);
    expect(await list("a")).toEqual([]);
    deployment.setClock(HOUR_MS + 1);
    await hasRun("a");
    await hasRun("hourly");
  });

  test("and only functions see that clock", async () => {
    const other = await startDeployment({ functionsDir, log: () => {} });
    const machineDate = Date;
    const before = Date.now();
    local.deployment.setClock(HOUR_MS);
    for (const [deployment, ahead] of [
      [local.deployment, HOUR_MS],
      [other, 0],
    ] as const) {
      for (const time of (await deployment.call("notes:times")) as number[]) {
        expect(time).toBeGreaterThanOrEqual(before + ahead);
        expect(time).toBeLessThan(before + ahead + 60_000);
      }
    }
    expect(Date.now()).toBeLessThan(before + 60_000);
    expect(new Date()).toBeInstanceOf(machineDate);
    await other.stop();
    local.deployment.setClock(0);
    expect(Date).toBe(machineDate);
  });
});

describe("limits", () => {
  const store = (text: string) =>
    local.deployment.call("notes:insert", { text });
  const echo = (value: string | { deep: string[] }) =>
    local.deployment.call("notes:echo", { value });

  test.each([
    ["a document of 1 MiB", () => store("a".repeat(MiB)), "(1.00 MiB > max"],
    // Bytes count, not characters.
    ["two bytes a character", () => store("ä".repeat(MiB / 2)), "too large"],
    [
      "17 MiB",
      () => echo("a".repeat(17 * MiB)),
      "(17.00 MiB > maximum size 16",
    ],
    ["half a pair", () => store("half: \ud83d"), "surrogate at position 6."],
    ["half a pair, deep", () => echo({ deep: ["\ude00"] }), "surrogate"],
    [
      "half a pair as a result",
      () => local.deployment.call("notes:illFormed"),
      'Return value of "notes:illFormed"',
    ],
  ])("refuse %s", async (_, call, message) => {
    await expect(call()).rejects.toThrow(message);
    await store("whole: 😀");
  });

  test("a transaction reads no more than 16 MiB", async () => {
    for (let i = 0; i < 20; i++) await store("a".repeat(MiB - 1000));
    await expect(local.deployment.call("notes:everything")).rejects.toThrow(
      "too much data",
    );
  });
});

test("a port that is taken is an error; stopping closes ports and leaves the process as it was", async () => {
  const { deployment } = local;
  const listeners = () => process.rawListeners("unhandledRejection");
  const between = listeners();
  const port = Number(new URL(deployment.url).port);
  await expect(startDeployment({ functionsDir, port })).rejects.toMatchObject({
    code: "EADDRINUSE",
  });
  expect(listeners()).toEqual(between);
  await deployment.stop();
  expect(listeners()).not.toEqual(between);
  for (const url of [deployment.url, deployment.siteUrl]) {
    await expect(fetch(url)).rejects.toThrow();
  }
});
