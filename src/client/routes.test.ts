import { corsRouter } from "convex-helpers/server/cors";
import { convexTest } from "convex-test";
import {
  anyApi,
  type ApiFromModules,
  defineSchema,
  defineTable,
  type GenericDataModel,
  type GenericQueryCtx,
  httpActionGeneric,
  httpRouter,
  mutationGeneric,
  queryGeneric,
} from "convex/server";
import { ConvexError, v } from "convex/values";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { settled, useClock } from "../../test/support/clock.js";
import { components, errorsLogged, textOf } from "../../test/support/setup.js";
import { register } from "../test.js";
import {
  PersistentTextStreaming,
  type RegisterRoutesOptions,
  type StreamId,
  StreamIdValidator,
} from "./index.js";

// Requests and calls that an attacker, a careless page or a browser may make.

useClock();

const streaming = new PersistentTextStreaming(
  components.persistentTextStreaming,
);
const schema = defineSchema({
  replies: defineTable({
    streamId: StreamIdValidator,
    owner: v.string(),
    followers: v.array(v.string()),
  }).index("byStream", ["streamId"]),
});
const anything = (value: unknown) => value as never;

/** An app with replies, which their owner writes and stops, and followers read. */
const chat = {
  create: mutationGeneric({
    args: { owner: v.string(), followers: v.array(v.string()) },
    handler: async (ctx, args) => {
      const streamId = await streaming.createStream(ctx);
      return {
        streamId,
        replyId: await ctx.db.insert("replies", { streamId, ...args }),
      };
    },
  }),
  ...streaming.hookAPI({
    authorize: async (
      ctx: GenericQueryCtx<GenericDataModel>,
      { streamId, operation },
    ) => {
      const reply = await replyOf(ctx, streamId);
      const user = (await ctx.auth.getUserIdentity())?.name ?? "nobody";
      if (user === "broken") throw new Error("The secret is 42.");
      if (user === "careless") return anything(false);
      const allowed = [
        reply?.owner,
        ...(operation === "read" ? (reply?.followers ?? []) : []),
      ];
      if (!allowed.includes(user)) {
        throw new ConvexError({ code: 7, message: "Not yours." });
      }
    },
  }),
};

const api = anyApi as unknown as ApiFromModules<{ chat: typeof chat }>;

async function replyOf(
  ctx: GenericQueryCtx<GenericDataModel>,
  streamId: string,
) {
  return (await ctx.db
    .query("replies")
    .withIndex("byStream", (q) => q.eq("streamId", streamId))
    .unique()) as { owner: string; followers: string[] } | null;
}

const seen: unknown[] = [];
const write: RegisterRoutesOptions["write"] = async function* (
  _ctx,
  { streamId, body, request, signal },
) {
  seen.push({ streamId, body, signal });
  yield await Promise.resolve(`${request.method}: `);
  yield "it is written.";
};

function router() {
  const http = httpRouter();
  streaming.registerRoutes(http, {
    path: "/chat",
    write,
    authorize: api.chat.authorizeStream,
    allowedOrigins: ["https://example.com", "capacitor://localhost"],
  });
  streaming.registerRoutes(http, {
    path: "/open",
    write: async (_ctx, { append }) => append("Open."),
    authorize: "public",
  });
  streaming.registerRoutes(http, {
    path: "/own",
    write,
    authorize: (_ctx, { request, operation }) => {
      const key = request.headers.get("X-Key");
      if (key === "false") return anything(false);
      if (key === "boom") throw new Error("The secret is 42.");
      if (key !== operation) throw new ConvexError(`No key to ${operation}.`);
    },
  });
  // A corsRouter of the app's own, on the same router, is left alone.
  const cors = corsRouter(http, { allowedOrigins: ["*"] });
  cors.route({
    path: "/other",
    method: "GET",
    handler: httpActionGeneric(() => Promise.resolve(new Response("Other."))),
  });
  return http;
}

function setUp() {
  const t = convexTest({
    schema,
    modules: {
      "./_generated/api.ts": () => Promise.resolve({}),
      "./chat.ts": () => Promise.resolve(chat),
      "./http.ts": () => Promise.resolve({ default: router() }),
    },
  });
  register(t);
  return t;
}
type App = ReturnType<typeof setUp>;
type User = ReturnType<App["withIdentity"]>;

let t: App;
let ann: User;
let streamId: StreamId;
let replyId: string;
beforeEach(async () => {
  errorsLogged();
  seen.length = 0;
  t = setUp();
  ann = t.withIdentity({ name: "ann" });
  ({ streamId, replyId } = await t.mutation(api.chat.create, {
    owner: "ann",
    followers: ["bob"],
  }));
});
afterEach(() => {
  vi.restoreAllMocks();
});

const json = (value: unknown): RequestInit => ({
  method: "POST",
  body: JSON.stringify(value),
});
const post = (user: User, path = "/chat", init: RequestInit = {}) =>
  user.fetch(path, { ...json({ streamId }), ...init });
const get = (user: User, path = "/chat", init?: RequestInit) =>
  user.fetch(`${path}?streamId=${streamId}`, init);
const isUnwritten = async () =>
  expect(
    await t.query((ctx) => streaming.getStreamBody(ctx, streamId)),
  ).toEqual({ text: "", status: "pending" });

describe("the routes", () => {
  test("POST writes, once; GET reads; HEAD says where the text ends", async () => {
    const extra = { model: "small", streamId };
    const response = await ann.fetch("/chat", json(extra));
    expect(response.status).toBe(200);
    expect(await textOf(response)).toBe("POST: it is written.");
    expect(seen).toEqual([
      { streamId, body: extra, signal: expect.any(AbortSignal) as unknown },
    ]);
    expect((await post(ann)).status).toBe(205);
    expect(await textOf(await get(ann))).toBe("POST: it is written.");
    const rest = await ann.fetch(`/chat?streamId=${streamId}&offset=12`);
    expect(await textOf(rest)).toBe("written.");
    const head = await get(ann, "/chat", { method: "HEAD" });
    expect(await head.text()).toBe("");
    expect(head.headers.get("Stream-Next-Offset")).toBe("0000000000000020");
    expect(head.headers.get("Stream-Closed")).toBe("true");
  });

  test("two mounts and a corsRouter can be combined", async () => {
    expect(await textOf(await post(t, "/open"))).toBe("Open.");
    expect(await (await t.fetch("/other")).text()).toBe("Other.");
    expect(await textOf(await get(ann))).toBe("Open.");
  });

  const as = (name: string) => t.withIdentity({ name });
  const HEAD: RequestInit = { method: "HEAD" };
  const keyed = (key: string, init: RequestInit = {}) => ({
    ...init,
    headers: { "X-Key": key },
  });
  const wrong = /^Something went wrong/;
  const large = (id: number) => `{"streamId":"${"x".repeat(id)}"}`;

  type Case = [status: number, error: RegExp | null, ask: () => unknown];
  /** Every kind of request, and its answer. */
  const posts: Record<string, [string | null, number, RegExp]> = {
    "no body": [null, 400, /JSON.*empty/],
    "an empty body": ["", 400, /empty/],
    "no JSON": ["streamId=x&other=1", 400, /not JSON: "streamId=x/],
    "half of its JSON": ['{"streamId":', 400, /not JSON/],
    null: ["null", 400, /is null/],
    "a number": ["7", 400, /is 7/],
    "an array": ["[]", 400, /Array/],
    "no id": ["{}", 400, /its streamId is undefined/],
    "a number for an id": ['{"streamId":7}', 400, /is 7/],
    "a list of ids": ['{"streamId":["x"]}', 400, /Array/],
    "a prototype": ['{"__proto__":{"streamId":"x"}}', 400, /undefined/],
    "100,000 brackets": ["[".repeat(100_000), 400, /not JSON/],
    "2 MB": [large(2e6), 400, /at most 1048576/],
    "10 MB": [large(1e7), 400, /at most 1048576/],
    "half a character": ['{"streamId":"\\ud83d"}', 404, /no stream/],
    "an id of 1 MB": [large(1e6), 404, /no stream/],
  };
  const gets: Record<string, [string, number, RegExp]> = {
    "no id": ["", 400, /names none/],
    "two ids": ["?streamId=a&streamId=b", 400, /names 2/],
    "an empty id": ["?streamId=", 404, /no stream ""/],
    "a zero byte": ["?streamId=%00", 404, /no stream/],
    "a foreign id": ["?streamId=nonsense", 404, /no stream "nonsense"/],
  };
  const rules: Record<string, Case> = {
    "POST by a stranger": [403, /^Not yours\.$/, () => post(t)],
    "GET by a stranger": [403, /^Not yours\.$/, () => get(t)],
    "POST by a follower": [403, /^Not yours\.$/, () => post(as("bob"))],
    "GET by a follower": [200, null, () => get(as("bob"), "/chat", HEAD)],
    "a broken query as the rule": [500, wrong, () => post(as("broken"))],
    "a query that returns false": [500, wrong, () => post(as("careless"))],
    "a function that refuses": [
      403,
      /^No key to write\.$/,
      () => post(t, "/own", keyed("read")),
    ],
    "a function that allows": [
      200,
      null,
      () => get(t, "/own", keyed("read", HEAD)),
    ],
    "a function that returns false": [
      500,
      wrong,
      () => get(t, "/own", keyed("false")),
    ],
    "a function that throws": [
      500,
      wrong,
      () => post(t, "/own", keyed("boom")),
    ],
    "an id of another table": [
      404,
      /no stream/,
      () => t.fetch("/open", json({ streamId: replyId })),
    ],
    "a large Content-Length": [
      400,
      /at most 1048576/,
      () => post(ann, "/chat", { headers: { "Content-Length": "10000000" } }),
    ],
    "a bad offset": [
      400,
      /whole number/,
      () => ann.fetch(`/chat?streamId=${streamId}&offset=-2`),
    ],
    "a database that fails": [
      500,
      wrong,
      () => {
        vi.spyOn(streaming, "resume").mockRejectedValue(new Error("secret"));
        return get(t, "/open");
      },
    ],
  };
  const requests = [
    ...Object.entries(posts).map(([what, [body, ...answer]]) => [
      `POST with ${what}`,
      ...answer,
      () => ann.fetch("/chat", { method: "POST", body }),
    ]),
    ...Object.entries(gets).map(([what, [query, ...answer]]) => [
      `GET with ${what}`,
      ...answer,
      () => t.fetch(`/open${query}`),
    ]),
    ...Object.entries(rules).map(([what, answer]) => [what, ...answer]),
  ] as [string, number, RegExp | null, () => Promise<Response>][];

  test.each(requests)("%s: %d", async (_, status, error, ask) => {
    const response = await settled(ask());
    expect(response.status).toBe(status);
    const { headers } = response;
    expect(headers.get("Access-Control-Expose-Headers")).toContain(
      "Stream-Next-Offset",
    );
    expect(headers.get("X-Content-Type-Options")).toBe("nosniff");
    // A route for some origins varies by origin; one for all has "*".
    expect(
      headers.get("Vary") ?? headers.get("Access-Control-Allow-Origin"),
    ).toMatch(/^(Origin|\*)$/);
    if (error !== null) {
      expect(headers.get("Content-Type")).toBe("application/json");
      const text = await response.text();
      expect(text.length).toBeLessThan(400);
      expect(text).not.toMatch(/secret|42/);
      expect((JSON.parse(text) as { error: string }).error).toMatch(error);
    }
    expect(seen).toEqual([]);
    await isUnwritten();
  });

  test("an unexpected error is logged", async () => {
    const log = errorsLogged();
    await post(t, "/own", keyed("boom"));
    expect(log).toHaveBeenCalledWith(
      "POST /own failed:",
      expect.objectContaining({ message: "The secret is 42." }),
    );
  });

  test.each([
    ["/chat", "https://example.com", "https://example.com", "Origin"],
    ["/chat", "capacitor://localhost", "capacitor://localhost", "Origin"],
    ["/chat", "https://example.com.evil.test", null, "Origin"],
    ["/chat", "http://example.com", null, "Origin"],
    ["/chat", "null", null, "Origin"],
    ["/chat", null, null, "Origin"],
    ["/open", "https://other.test", "*", null],
    ["/open", null, "*", null],
  ])("%s allows the origin %s: %s", async (path, origin, allowed, vary) => {
    const headers = new Headers({
      "Access-Control-Request-Method": "POST",
      "Access-Control-Request-Headers": "authorization,x-session-id",
    });
    if (origin !== null) headers.set("Origin", origin);
    const preflight = await t.fetch(path, { method: "OPTIONS", headers });
    expect(preflight.status).toBe(204);
    expect(preflight.headers.get("Access-Control-Allow-Headers")).toBe(
      "authorization,x-session-id",
    );
    expect(preflight.headers.get("Access-Control-Allow-Methods")).toBe(
      "GET, HEAD, POST",
    );
    const got = await get(ann, path, { headers, method: "HEAD" });
    const plain = await t.fetch(path, { method: "OPTIONS" });
    expect(plain.headers.has("Access-Control-Allow-Headers")).toBe(false);
    for (const { headers } of [preflight, got]) {
      expect(headers.get("Access-Control-Allow-Origin")).toBe(allowed);
      expect(headers.has("Access-Control-Allow-Credentials")).toBe(false);
    }
    expect(got.headers.get("Vary")).toBe(vary);
  });
});

describe("hookAPI", () => {
  const page = (user: User, args: object = { streamId }) =>
    user.query(api.chat.getStreamBody, anything(args));
  const abort = (user: User, args: object = { streamId }) =>
    user.mutation(api.chat.abortStream, anything(args));
  const authorize = (user: User, args: object) =>
    user.query(api.chat.authorizeStream, anything(args));

  const users: Record<string, string[]> = {
    ann: ["read", "write", "abort"],
    bob: ["read"],
    mallory: [],
    broken: [],
    careless: [],
  };
  test.each(Object.entries(users))("%s may %j", async (name, may) => {
    const user = t.withIdentity({ name });
    const attempts = {
      read: () => page(user),
      write: () => authorize(user, { streamId, operation: "write" }),
      abort: () => abort(user),
    };
    for (const [operation, attempt] of Object.entries(attempts)) {
      if (may.includes(operation)) await attempt();
      else {
        await expect(attempt()).rejects.toThrow(/Not yours|42|returned false/);
        if (operation === "abort") await isUnwritten();
      }
    }
  });

  test("getStreamBody gives pages", async () => {
    await textOf(await post(ann));
    const rest = await page(ann, { streamId, from: 12 });
    expect(rest).toMatchObject({ text: "written.", status: "done", from: 12 });
    expect(await page(ann)).toMatchObject({ from: 0, next: 20 });
  });

  test("abortStream stops the writer", async () => {
    expect(await abort(ann)).toBeNull();
    expect(await page(ann)).toMatchObject({ status: "aborted" });
    expect((await post(ann)).status).toBe(205);
  });

  test.each([{}, { streamId: 7 }, { streamId: "x", from: "0" }, { id: "x" }])(
    "arguments %j are refused before the rule is called",
    async (args) => {
      await expect(page(ann, args)).rejects.toThrow(/[Vv]alidat/);
      await expect(abort(ann, { ...args, more: 1 })).rejects.toThrow(/alidat/);
      await expect(
        authorize(ann, { ...args, operation: "delete" }),
      ).rejects.toThrow(/alidat/);
    },
  );

  test("only authorizeStream is internal", () => {
    const { getStreamBody, abortStream, authorizeStream } = chat;
    const isPublic = [getStreamBody, abortStream, authorizeStream].map(
      (registered) => "isPublic" in registered,
    );
    expect(isPublic).toEqual([true, true, false]);
    expect(authorizeStream).toHaveProperty("isInternal", true);
  });
});

describe("invalid options throw a TypeError that says what is expected", () => {
  const query = queryGeneric({ args: {}, handler: () => null });
  const good = { path: "/chat", write, authorize: "public" };
  const without = (key: keyof typeof good) => ({ ...good, [key]: undefined });
  const origins = (...allowedOrigins: unknown[]) => ({
    ...good,
    allowedOrigins,
  });
  const cases: [string, unknown, RegExp][] = [
    ["no options", undefined, /takes options, \{ path, write, authorize \}/],
    ["options that are text", "/chat", /takes options/],
    ["no path", without("path"), /must begin with a slash/],
    ["a path that is empty", { ...good, path: "" }, /such as "\/chat"/],
    ["a path without a slash", { ...good, path: "chat" }, /it is "chat"/],
    ["a path with a query", { ...good, path: "/chat?x=1" }, /no query/],
    ["a path with a space", { ...good, path: "/a chat" }, /it is/],
    ["a path that is a host", { ...good, path: "//chat" }, /it is/],
    ["a path that is a URL", { ...good, path: "https://x.test/" }, /slash/],
    ["a path that is no URL", { ...good, path: "//[" }, /slash/],
    ["a path that is a number", { ...good, path: 7 }, /it is 7/],
    ["no write", without("write"), /write .* function, .* is undefined/],
    ["write that is text", { ...good, write: "x" }, /function/],
    ["a generator", { ...good, write: (async function* () {})() }, /function/],
    ["write that is an action", { ...good, write: query }, /a Convex function/],
    ["no authorize", without("authorize"), /internal\.chat\.authorizeStream/],
    ["authorize: null", { ...good, authorize: null }, /is null/],
    ["authorize: true", { ...good, authorize: true }, /is true/],
    ["authorize: Public", { ...good, authorize: "Public" }, /"public"/],
    ["authorize: {}", { ...good, authorize: {} }, /a reference/],
    ["a query for authorize", { ...good, authorize: query }, /not a reference/],
    ["half a reference", { ...good, authorize: anyApi["chat"] }, /reference/],
    ["origins as text", { ...good, allowedOrigins: "*" }, /an array/],
    ["an origin that is unset", origins(undefined), /is undefined/],
    ["an origin with a slash", origins("https://x.test/"), /without a path/],
    ["an origin without a scheme", origins("x.test"), /"https:/],
    ["an origin with its port", origins("https://x.test:443"), /browsers send/],
    ["an origin that is no URL", origins("https://x:y"), /browsers/],
    ["an origin after a space", origins(" app://x.test"), /browsers/],
    ["an origin in capitals", origins("https://X.test"), /browsers/],
    ["an origin with a star", origins("https://*.test"), /browsers/],
  ];
  test.each(cases)("registerRoutes(http, …): %s", (_, options, message) => {
    const http = httpRouter();
    const register = () => streaming.registerRoutes(http, anything(options));
    expect(register).toThrow(TypeError);
    expect(register).toThrow(message);
    expect(http.getRoutes()).toEqual([]);
  });

  test.each([
    ["nothing", undefined, /httpRouter\(\).* is undefined/],
    ["the class", httpRouter, /a function/],
    ["what corsRouter() returned", corsRouter(httpRouter()), /`http` itself/],
  ])("registerRoutes(http, …): http is %s", (_, http, message) => {
    const register = () =>
      streaming.registerRoutes(anything(http), anything(good));
    expect(register).toThrow(TypeError);
    expect(register).toThrow(message);
  });

  test.each([
    ["nothing", undefined, /takes \{ authorize \}.* is undefined/],
    ["no rule", {}, /authorize: undefined/],
    ["public", { authorize: "public" }, /authorize: "public"/],
    ["the rule itself", () => {}, /authorize: undefined/],
    ["a query", { authorize: query }, /a Convex function/],
  ])("hookAPI: %s", (_, options, message) => {
    const make = () => streaming.hookAPI(anything(options));
    expect(make).toThrow(TypeError);
    expect(make).toThrow(message);
  });

  test("a path that is taken", () => {
    const http = httpRouter();
    const register = () => streaming.registerRoutes(http, anything(good));
    register();
    expect(register).toThrow("'/chat' for method POST already in use");
  });
});
