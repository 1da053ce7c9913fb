// @vitest-environment node
import { request as httpRequest, type IncomingMessage } from "node:http";
import { describe, expect, test } from "vitest";
import { api } from "./fixture/api.js";
import { deployForEachTest, eventually } from "./fixture/start.js";
import { memory } from "./memory.js";

const local = deployForEachTest();
const { gates } = local;

const at = (path: string) => local.deployment.siteUrl + path;
const post = (path: string, body: string) =>
  fetch(at(path), { method: "POST", body });
const list = (topic: string) => local.deployment.run(api.notes.list, { topic });

/** A response as it arrives on the wire: whether it ended well shows in `complete`. */
async function rawPost(path: string, body: string) {
  const response = await new Promise<IncomingMessage>((resolve, reject) => {
    const request = httpRequest(at(path), { method: "POST" }, resolve);
    request.on("error", reject);
    request.end(body);
  });
  const received = { text: "", ended: false, cut: false };
  response.setEncoding("utf8");
  response.on("data", (text: string) => (received.text += text));
  response.on("end", () => (received.ended = true));
  response.on("error", () => (received.cut = true));
  return { response, received };
}

let names = 0;
/** Gates are shared by the process: each test has its own. */
const fresh = () => `topic${names++}`;

test("what a response has sent does not stay in memory while it goes on", async () => {
  const gate = fresh();
  const before = await memory();
  const url = at(`/flood?count=40000&size=1&gate=${gate}`);
  let received = 0;
  const ended = new Promise((resolve) => {
    httpRequest(url, (response) => {
      response.on("data", (bytes: Buffer) => (received += bytes.length));
      response.on("end", resolve);
    }).end();
  });
  await eventually(() => expect(received).toBe(40_000));
  const after = await memory();
  gates.open(gate);
  await ended;
  expect(after.heap - before.heap).toBeLessThan(6e6);
});

describe("requests and responses", () => {
  test("a bearer token that is not Convex's leaves the action without an identity", async () => {
    const response = await fetch(at("/mirror"), {
      method: "POST",
      headers: { authorization: "Bearer api-key" },
    });
    expect(await response.json()).toMatchObject({ subject: null });
  });

  test("an empty 205", async () => {
    const response = await fetch(at("/nothing"));
    expect(response.status).toBe(205);
    expect(await response.text()).toBe("");
  });
});

describe("the life of an HTTP action", () => {
  test("text arrives as it is written", async () => {
    const name = fresh();
    const { received } = await rawPost("/gated", name);
    await eventually(() => expect(received.text).toBe("one"));
    local.gates.open(name);
    await eventually(() => expect(received.ended).toBe(true));
    expect(received.text).toBe("onetwo 1 saved");
  });

  test("the body is drained as fast as it is written, though the client reads nothing", async () => {
    const request = httpRequest(at("/flood?count=1000&size=16384"));
    request.on("response", (response) => response.pause());
    request.on("error", () => {});
    request.end();
    await local.gates.passed("flooded");
    request.destroy();
  });

  test("a client that goes aborts the request's signal, and nothing else", async () => {
    const name = fresh();
    const { response } = await rawPost("/gated", name);
    await local.gates.passed(`${name} began`);
    response.destroy();
    await local.gates.passed(`${name} aborted`);
    local.gates.open(name);
    await eventually(async () => expect(await list(name)).toEqual(["two"]));
  });

  test("the action is over when its body ends: what it did not wait for never happens", async () => {
    const name = fresh();
    expect(await (await post("/hasty", name)).text()).toBe("text");
    local.gates.open(name);
    await local.gates.passed(`${name} tries`);
    // Another action from start to end: time enough for the late mutation.
    const other = fresh();
    local.gates.open(other);
    await (await post("/gated", other)).text();
    expect(local.gates.hasReached(`${name} succeeded`)).toBe(false);
    expect(await list(name)).toEqual([]);
  });

  test("a rejection that nobody handles ends the body, cleanly, and the action", async () => {
    const { received } = await rawPost("/rejects", "");
    await eventually(() => expect(received.ended).toBe(true));
    expect(received).toEqual({ text: "before", ended: true, cut: false });
    expect(local.log.join("\n")).toContain("forgotten");
    local.gates.open("rejects");
    const other = fresh();
    local.gates.open(other);
    await (await post("/gated", other)).text();
    expect(local.gates.hasReached("rejects went on")).toBe(false);
    expect(await list("rejects")).toEqual([]);
  });

  test("so does an exception in one of its timers", async () => {
    expect(await (await post("/throws-later", "")).text()).toBe("before");
    expect(local.log.join("\n")).toContain("in a timer");
  });

  test("and one in an abort listener", async () => {
    expect(await (await post("/throws-aborted", "")).text()).toBe("before");
    expect(local.log.join("\n")).toContain("in a listener");
    local.gates.open("throws-aborted");
    const other = fresh();
    local.gates.open(other);
    await (await post("/gated", other)).text();
    expect(local.gates.hasReached("throws-aborted went on")).toBe(false);
  });

  test("and a client that leaves before the response's head", async () => {
    const name = fresh();
    const leaving = new AbortController();
    const answer = fetch(at("/late-head"), {
      method: "POST",
      body: name,
      signal: leaving.signal,
    });
    await local.gates.passed(`${name} began`);
    leaving.abort();
    await expect(answer).rejects.toThrow();
    await local.gates.passed(`${name} tried`);
    const other = fresh();
    local.gates.open(other);
    await (await post("/gated", other)).text();
    expect(await list(name)).toEqual([]);
    expect(local.log.join("\n")).toContain("before the response's head");
  });

  test("past 20 MiB, chunks are dropped without an error", async () => {
    const MiB = 1024 * 1024;
    const response = await fetch(at(`/flood?count=25&size=${MiB}`));
    expect((await response.arrayBuffer()).byteLength).toBe(20 * MiB);
  });
});

describe("faults", () => {
  test("cut connections: the client sees an error, the action runs on", async () => {
    const name = fresh();
    const { received } = await rawPost("/gated", name);
    await eventually(() => expect(received.text).toBe("one"));
    local.deployment.faults.cutConnections();
    await eventually(() => expect(received.cut).toBe(true));
    local.gates.open(name);
    await eventually(async () => expect(await list(name)).toEqual(["two"]));
  });

  test("killed actions: the body ends cleanly, the action saves nothing more", async () => {
    const name = fresh();
    const { received } = await rawPost("/gated", name);
    await eventually(() => expect(received.text).toBe("one"));
    local.deployment.faults.killActions();
    await eventually(() => expect(received.ended).toBe(true));
    expect(received).toEqual({ text: "one", ended: true, cut: false });
    local.gates.open(name);
    const other = fresh();
    local.gates.open(other);
    await (await post("/gated", other)).text();
    expect(await list(name)).toEqual([]);
  });

  test("a refused commit writes nothing, a lost answer hides one that was written", async () => {
    const { deployment } = local;
    const add = () => deployment.run(api.notes.add, { topic: "a", text: "x" });
    deployment.faults.set({ refuseCommits: 1 });
    await expect(add()).rejects.toThrow("was refused");
    expect(await list("a")).toEqual([]);
    deployment.faults.set({ loseAnswers: 1 });
    await expect(add()).rejects.toThrow("was lost");
    expect(await list("a")).toEqual(["x"]);
    expect(await add()).toBe(1);
  });

  test("faults may concern some functions only, and a share of commits", async () => {
    const { deployment } = local;
    const add = () => deployment.run(api.notes.add, { topic: "a", text: "x" });
    deployment.faults.set({ refuseFraction: 1, only: "notes:store" });
    expect(await add()).toBe(0);
    await expect(
      deployment.run(api.notes.store, { text: "x" }),
    ).rejects.toThrow("was refused");
    expect(() => deployment.faults.set({ nonsense: 1 } as object)).toThrow(
      'no fault "nonsense"',
    );
  });

  test("delayed commits wait beside one another", async () => {
    const { deployment } = local;
    deployment.faults.set({ commitDelayMs: 150 });
    const began = performance.now();
    await Promise.all(
      Array.from({ length: 20 }, () =>
        deployment.run(api.notes.add, { topic: "a", text: "x" }),
      ),
    );
    const took = performance.now() - began;
    expect(took).toBeGreaterThanOrEqual(149);
    // One after the other it would be 3 s.
    expect(took).toBeLessThan(1500);
  });
});

describe("the controls over HTTP", () => {
  const control = async (path: string, body?: object) => {
    const response = await fetch(`${local.deployment.siteUrl}/_local${path}`, {
      method: body === undefined ? "GET" : "POST",
      body: body === undefined ? undefined : JSON.stringify(body),
    });
    expect(response.headers.get("access-control-allow-origin")).toBe("*");
    return (await response.json()) as unknown;
  };

  test("counters can be read and reset", async () => {
    await local.deployment.run(api.notes.add, { topic: "a", text: "x" });
    expect(await control("/counters")).toMatchObject({ commits: 1 });
    expect(await control("/reset", {})).toMatchObject({ commits: 0 });
    expect(local.deployment.counters.read().commits).toBe(0);
  });

  test("faults can be set, and errors say what there is", async () => {
    expect(await control("/faults", { commitDelayMs: 7 })).toMatchObject({
      commitDelayMs: 7,
    });
    expect(local.deployment.faults.settings.commitDelayMs).toBe(7);
    expect(await control("/faults", { commitDelay: 7 })).toMatchObject({
      error: expect.stringContaining("There are: commitDelayMs") as string,
    });
  });
});
