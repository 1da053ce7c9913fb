// @vitest-environment node
import { ConvexHttpClient } from "convex/browser";
import { makeFunctionReference } from "convex/server";
import { ConvexError } from "convex/values";
import { describe, expect, test } from "vitest";
import { localToken } from "./deployment.js";
import { api } from "./fixture/api.js";
import {
  costOf,
  deployForEachTest,
  eventually,
  told,
} from "./fixture/start.js";

const local = deployForEachTest();

const hidden = (path: string) => makeFunctionReference<"query">(path);

describe("subscriptions", () => {
  test("a client gets the result, and every new one", async () => {
    const client = local.client();
    const lists = told<string[]>((onValue, onError) =>
      client.onUpdate(api.notes.list, { topic: "a" }, onValue, onError),
    );
    await eventually(() => expect(lists).toEqual([[]]));
    await client.mutation(api.notes.add, { topic: "a", text: "one" });
    await client.mutation(api.notes.add, { topic: "a", text: "two" });
    await eventually(() =>
      expect(lists).toEqual([[], ["one"], ["one", "two"]]),
    );
  });

  test("a mutation's effects are there when its promise resolves", async () => {
    const client = local.reactClient();
    const watch = client.watchQuery(api.notes.list, { topic: "a" });
    watch.onUpdate(() => {});
    await eventually(() => expect(watch.localQueryResult()).toEqual([]));
    await client.mutation(api.notes.add, { topic: "a", text: "one" });
    expect(watch.localQueryResult()).toEqual(["one"]);
  });

  test("a query that fails says so, with what its ConvexError carries", async () => {
    const client = local.client();
    const results = told<null>((onValue, onError) =>
      client.onUpdate(api.notes.failingQuery, {}, onValue, onError),
    );
    await eventually(() => expect(results).toHaveLength(1));
    expect(results[0]).toBeInstanceOf(ConvexError);
    expect((results[0] as ConvexError<string>).data).toBe("not today");
  });
});

describe("mutations and actions", () => {
  test("a mutation that throws changes nothing and hands over its data", async () => {
    const client = local.client();
    const failure = client.mutation(api.notes.fail, { topic: "a" });
    await expect(failure).rejects.toMatchObject({
      data: { code: "no", topic: "a" },
    });
    expect(await client.query(api.notes.list, { topic: "a" })).toEqual([]);
  });

  test("a rejection that nobody handles fails the action, not the process", async () => {
    const client = local.client();
    await expect(
      client.action(api.notes.actionThatRejects, {}),
    ).rejects.toThrow("nobody waits for this");
    expect(await client.query(api.notes.list, { topic: "a" })).toEqual([]);
  });

  test("clients cannot call internal functions, nor a component's", async () => {
    const client = local.client();
    await expect(client.query(hidden("notes:secret"), {})).rejects.toThrow(
      "Could not find public function for 'notes:secret'",
    );
    await expect(client.query(hidden("lib:total"), {})).rejects.toThrow(
      "Could not find public function",
    );
    await expect(client.query(hidden("notes:add"), {})).rejects.toThrow(
      "as query, but it is defined as mutation",
    );
  });

  test("a thousand mutations at once are serialized", async () => {
    const client = local.client();
    const positions = await Promise.all(
      Array.from({ length: 1000 }, () =>
        local.deployment.run(api.notes.add, { topic: "a", text: "x" }),
      ),
    );
    expect(new Set(positions).size).toBe(1000);
    expect(await client.query(api.notes.everything, {})).toBe(1000);
  });
});

describe("ConvexHttpClient", () => {
  test("queries, mutations and actions over plain HTTP", async () => {
    const http = new ConvexHttpClient(local.deployment.url, { logger: false });
    expect(await http.mutation(api.notes.add, { topic: "a", text: "x" })).toBe(
      0,
    );
    expect(await http.query(api.notes.list, { topic: "a" })).toEqual(["x"]);
    expect(
      await http.action(api.notes.addThroughAction, { topic: "a", text: "y" }),
    ).toEqual(["x", "y"]);
    await expect(
      http.mutation(api.notes.fail, { topic: "a" }),
    ).rejects.toMatchObject({ data: { code: "no", topic: "a" } });
    await expect(http.query(hidden("notes:secret"), {})).rejects.toThrow(
      "Could not find public function",
    );
  });
});

describe("what runs, and what does not", () => {
  test("subscribers with the same arguments share one run, at first and for each commit", async () => {
    const { deployment } = local;
    const clients = Array.from({ length: 20 }, () => local.client());
    const cost = await costOf(deployment, async () => {
      const lists = clients.map((client) =>
        told<string[]>((onValue, onError) =>
          client.onUpdate(api.notes.list, { topic: "a" }, onValue, onError),
        ),
      );
      await eventually(() =>
        lists.forEach((list) => expect(list).toEqual([[]])),
      );
      await deployment.run(api.notes.add, { topic: "a", text: "one" });
      await eventually(() =>
        lists.forEach((list) => expect(list.at(-1)).toEqual(["one"])),
      );
    });
    expect(cost.queryRuns).toBe(2);
    // 20 subscriptions, 1 mutation, 20 updates.
    expect(cost.functionCalls).toBe(41);
    expect(cost.commits).toBe(1);
    expect(cost.documentsWritten).toBe(1);
    expect(cost.documentsRead).toBe(1);
  });

  test("a commit re-runs only the queries that read what it wrote", async () => {
    const { deployment } = local;
    const client = local.client();
    const a = told<string[]>((onValue, onError) =>
      client.onUpdate(api.notes.list, { topic: "a" }, onValue, onError),
    );
    const b = told<string[]>((onValue, onError) =>
      client.onUpdate(api.notes.list, { topic: "b" }, onValue, onError),
    );
    await eventually(() => expect([a, b]).toEqual([[[]], [[]]]));
    const cost = await costOf(deployment, () =>
      client.mutation(api.notes.add, { topic: "a", text: "one" }),
    );
    expect(cost.queryRuns).toBe(1);
    expect(a).toEqual([[], ["one"]]);
    expect(b).toEqual([[]]);
  });

  test("a query reads only as far as it went", async () => {
    const { deployment } = local;
    const client = local.client();
    for (const text of ["0", "1", "2"]) {
      await deployment.run(api.notes.add, { topic: "a", text });
    }
    const first = told<string | null>((onValue, onError) =>
      client.onUpdate(
        api.notes.firstFrom,
        { topic: "a", from: 1 },
        onValue,
        onError,
      ),
    );
    const beyond = told<string | null>((onValue, onError) =>
      client.onUpdate(
        api.notes.firstFrom,
        { topic: "a", from: 3 },
        onValue,
        onError,
      ),
    );
    await eventually(() => expect([first, beyond]).toEqual([["1"], [null]]));
    const cost = await costOf(deployment, () =>
      client.mutation(api.notes.add, { topic: "a", text: "3" }),
    );
    expect(cost.queryRuns).toBe(1);
    expect([first, beyond]).toEqual([["1"], [null, "3"]]);
  });

  test("moving documents out of an index range and into another updates both", async () => {
    const { deployment } = local;
    const client = local.client();
    await deployment.run(api.notes.add, { topic: "a", text: "one" });
    const a = told<string[]>((onValue, onError) =>
      client.onUpdate(api.notes.list, { topic: "a" }, onValue, onError),
    );
    const b = told<string[]>((onValue, onError) =>
      client.onUpdate(api.notes.list, { topic: "b" }, onValue, onError),
    );
    await eventually(() => expect([a, b]).toEqual([[["one"]], [[]]]));
    // Within its transaction, the mutation sees its own writes in the index.
    expect(
      await client.mutation(api.notes.rename, { from: "a", to: "b" }),
    ).toEqual([0, 1]);
    await eventually(() => expect([a.at(-1), b.at(-1)]).toEqual([[], ["one"]]));
    await client.mutation(api.notes.clear, { topic: "b" });
    await eventually(() => expect(b.at(-1)).toEqual([]));
  });

  test("a valid result costs a new subscriber, and an action, no run", async () => {
    const { deployment } = local;
    await deployment.run(api.notes.add, { topic: "a", text: "one" });
    await deployment.run(api.notes.list, { topic: "a" });
    const client = local.client();
    const cost = await costOf(deployment, async () => {
      expect(await client.query(api.notes.list, { topic: "a" })).toEqual([
        "one",
      ]);
    });
    expect(cost).toMatchObject({
      queryRuns: 0,
      documentsRead: 0,
      functionCalls: 1,
    });
    const acted = await costOf(deployment, () =>
      client.action(api.notes.addThroughAction, { topic: "a", text: "two" }),
    );
    // The action, its mutation, its query twice; the query runs once.
    expect(acted).toMatchObject({ functionCalls: 4, queryRuns: 1 });
  });
});

describe("connections", () => {
  test("after its socket was closed, a client is told what it missed", async () => {
    const { deployment } = local;
    const client = local.client();
    const lists = told<string[]>((onValue, onError) =>
      client.onUpdate(api.notes.list, { topic: "a" }, onValue, onError),
    );
    await eventually(() => expect(lists).toEqual([[]]));
    deployment.faults.dropSockets();
    await deployment.run(api.notes.add, { topic: "a", text: "missed" });
    await eventually(() => expect(lists.at(-1)).toEqual(["missed"]));
    await client.mutation(api.notes.add, { topic: "a", text: "next" });
    await eventually(() => expect(lists.at(-1)).toEqual(["missed", "next"]));
  });

  test("a mutation whose connection is lost under way runs once", async () => {
    const { deployment } = local;
    const client = local.client();
    await client.query(api.notes.everything, {});
    deployment.faults.set({ commitDelayMs: 100 });
    const position = client.mutation(api.notes.add, { topic: "a", text: "x" });
    await eventually(() =>
      expect(deployment.counters.read().functionCalls).toBe(2),
    );
    deployment.faults.dropSockets();
    expect(await position).toBe(0);
    expect(await client.query(api.notes.list, { topic: "a" })).toEqual(["x"]);
  });

  test("the backend stops and starts again, with its data, on its ports", async () => {
    const { deployment } = local;
    const { url } = deployment;
    const client = local.client();
    const lists = told<string[]>((onValue, onError) =>
      client.onUpdate(api.notes.list, { topic: "a" }, onValue, onError),
    );
    await client.mutation(api.notes.add, { topic: "a", text: "one" });
    await deployment.down();
    await expect(fetch(deployment.siteUrl)).rejects.toThrow();
    const whileDown = client.mutation(api.notes.add, {
      topic: "a",
      text: "two",
    });
    await deployment.up();
    expect(deployment.url).toBe(url);
    expect(await whileDown).toBe(1);
    await eventually(() => expect(lists.at(-1)).toEqual(["one", "two"]));
  });
});

describe("identity", () => {
  test("queries run as the token's user, and again when it changes", async () => {
    const client = local.client();
    const names = told<string | null>((onValue, onError) =>
      client.onUpdate(api.notes.whoAmI, {}, onValue, onError),
    );
    await eventually(() => expect(names).toEqual([null]));
    let isAuthenticated: boolean | undefined;
    client.setAuth(
      () => Promise.resolve(localToken("ann")),
      (value) => (isAuthenticated = value),
    );
    await eventually(() => {
      expect(isAuthenticated).toBe(true);
      expect(names).toEqual([null, "ann"]);
    });
  });

  test("over plain HTTP: an identity, or 401", async () => {
    const http = new ConvexHttpClient(local.deployment.url);
    http.setAuth(localToken("ann"));
    expect(await http.query(api.notes.whoAmI, {})).toBe("ann");
    const answer = await fetch(`${local.deployment.url}/api/query`, {
      method: "POST",
      headers: { authorization: "Bearer rubbish" },
      body: JSON.stringify({ path: "notes:whoAmI", args: [{}] }),
    });
    expect(answer.status).toBe(401);
  });

  test("users do not get one another's results", async () => {
    const token = (name: string) => ({ token: localToken(name) });
    const { deployment } = local;
    expect(await deployment.call("notes:whoAmI", {}, token("ann"))).toBe("ann");
    expect(await deployment.call("notes:whoAmI", {}, token("bob"))).toBe("bob");
    expect(await deployment.call("notes:whoAmI", {})).toBe(null);
  });
});
