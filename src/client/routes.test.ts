import { corsRouter } from "convex-helpers/server/cors";
import {
  anyApi,
  type ApiFromModules,
  type GenericDataModel,
  type GenericQueryCtx,
  httpActionGeneric,
  httpRouter,
  queryGeneric,
} from "convex/server";
import { ConvexError } from "convex/values";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { settled, useClock } from "../../test/support/clock.js";
import {
  components,
  errorsLogged,
  setUp,
  textOf,
} from "../../test/support/setup.js";
import {
  PersistentTextStreaming,
  type RegisterRoutesOptions,
  type StreamId,
} from "./index.js";

// Requests and calls that an attacker, a careless page or a browser may make.

useClock();

const streaming = new PersistentTextStreaming(
  components.persistentTextStreaming,
);
const anything = (value: unknown) => value as never;

/** What each user may do with the stream, and with no other. */
const rights: Record<string, string[]> = {
  ann: ["read", "write", "abort"],
  bob: ["read"],
  mallory: [],
  broken: [],
  careless: [],
};

const chat = streaming.hookAPI({
  authorize: async (ctx: GenericQueryCtx<GenericDataModel>, asked) => {
    const user = (await ctx.auth.getUserIdentity())?.name ?? "nobody";
    if (user === "broken") throw new Error("The secret is 42.");
    if (user === "careless") return anything(false);
    const may = asked.streamId === streamId ? rights[user] : undefined;
    if (!may?.includes(asked.operation)) {
      throw new ConvexError({ code: 7, message: "Not yours." });
    }
  },
});

const api = anyApi as unknown as ApiFromModules<{ chat: typeof chat }>;

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

const modules = {
  "./chat.ts": () => Promise.resolve(chat),
  "./http.ts": () => Promise.resolve({ default: router() }),
};
type User = ReturnType<ReturnType<typeof setUp>["t"]["withIdentity"]>;

let t: ReturnType<typeof setUp>["t"];
let ann: User;
let streamId: StreamId;
beforeEach(async () => {
  errorsLogged();
  seen.length = 0;
  const app = setUp(undefined, modules);
  t = app.t;
  ann = t.withIdentity({ name: "ann" });
  streamId = await app.create();
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
  const send = (body: string | null, headers = {}) =>
    ann.fetch("/chat", { method: "POST", body, headers });
  const open = (query: string) => t.fetch(`/open${query}`);
  const own = (id: string) => t.fetch(`/own?streamId=${id}`);
  const large = (id: number) => `{"streamId":"${"x".repeat(id)}"}`;
  const proto = '{"__proto__":{"streamId":"x"}}';
  const length = { "Content-Length": "10000000" };
  const megabytes = { "Content-Length": "2000000" };
  const breakOff = () => {
    vi.spyOn(Request.prototype, "text").mockRejectedValue(new Error("Gone."));
    return send("{}");
  };
  const failing = () => {
    vi.spyOn(streaming, "resume").mockRejectedValue(new Error("secret"));
    return get(t, "/open");
  };
  const wrong = /^Something went wrong/;
  const others = /^Not yours\.$/;

  /** Every kind of request that writes nothing, and its answer. */
  const requests: [string, number, RegExp | null, () => Promise<Response>][] = [
    ["POST with no body", 400, /JSON.*empty/, () => send(null)],
    ["POST with a form", 400, /not JSON: "id=x/, () => send("id=x&other=1")],
    ["POST with null", 400, /is null/, () => send("null")],
    ["POST with an array", 400, /Array/, () => send("[]")],
    ["POST with no id", 400, /its streamId is undefined/, () => send("{}")],
    ["POST with a number for an id", 400, /7/, () => send('{"streamId":7}')],
    ["POST with a list of ids", 400, /Array/, () => send('{"streamId":["x"]}')],
    ["POST with a prototype", 400, /undefined/, () => send(proto)],
    ["POST with brackets", 400, /not JSON/, () => send("[".repeat(100_000))],
    ["POST with 10 MB", 400, /at most 1048576/, () => send(large(1e7))],
    ["POST with a Content-Length", 400, /at most/, () => send("{}", length)],
    ["POST that breaks off", 400, /empty/, breakOff],
    ["POST with 2 MB of bytes", 400, /its s/, () => send("{}", megabytes)],
    ["POST with an id of 1 MB", 404, /no stream/, () => send(large(1e6))],
    ["half a character", 404, /no s/, () => send('{"streamId":"\\ud83d"}')],
    ["GET with no id", 400, /names none/, () => open("")],
    ["GET with two ids", 400, /2/, () => open("?streamId=a&streamId=b")],
    ["GET with an empty id", 404, /no stream ""/, () => open("?streamId=")],
    ["GET with a zero byte", 404, /no stream/, () => open("?streamId=%00")],
    ["an id of a foreign kind", 404, /no stream/, () => open("?streamId=x")],
    ["another's id", 403, others, () => ann.fetch("/chat?streamId=x")],
    ["a bad offset", 400, /number/, () => open("?streamId=x&offset=-2")],
    ["POST by a stranger", 403, others, () => post(t)],
    ["POST by a follower", 403, others, () => post(as("bob"))],
    ["GET by a follower", 200, null, () => get(as("bob"), "/chat", HEAD)],
    ["a rule that is broken", 500, wrong, () => post(as("broken"))],
    ["a rule that returns false", 500, wrong, () => post(as("careless"))],
    ["a function refuses", 403, /^No key/, () => post(t, "/own", keyed("get"))],
    ["the longest id", 403, /^No key/, () => own("x".repeat(100))],
    ["one allows", 200, null, () => get(t, "/own", keyed("read", HEAD))],
    ["one returns false", 500, wrong, () => get(t, "/own", keyed("false"))],
    ["one throws", 500, wrong, () => post(t, "/own", keyed("boom"))],
    ["a database that fails", 500, wrong, failing],
  ];

  test.each(requests)("%s: %d", async (_, status, error, ask) => {
    const log = errorsLogged().mockClear();
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
    // An unexpected error is logged.
    const what = expect.stringMatching(/^(POST|GET) \/\w+ failed:$/) as string;
    if (status !== 500) expect(log).not.toHaveBeenCalled();
    else expect(log).toHaveBeenCalledWith(what, expect.any(Error));
    expect(seen).toEqual([]);
    await isUnwritten();
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

  test.each(Object.entries(rights))("%s may %j", async (name, may) => {
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
    const rest = { text: "written.", status: "done", from: 12 };
    expect(await page(ann, { streamId, from: 12 })).toMatchObject(rest);
    expect(await page(ann, { streamId, tail: 8 })).toMatchObject(rest);
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
    expect(chat.getStreamBody).toHaveProperty("isPublic", true);
    expect(chat.abortStream).toHaveProperty("isPublic", true);
    expect(chat.authorizeStream).not.toHaveProperty("isPublic");
    expect(chat.authorizeStream).toHaveProperty("isInternal", true);
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
    ["authorize: Public", { ...good, authorize: "Public" }, /"public"/],
    ["authorize: {}", { ...good, authorize: {} }, /a reference/],
    ["a query for authorize", { ...good, authorize: query }, /not a reference/],
    ["half a reference", { ...good, authorize: anyApi["chat"] }, /reference/],
    ["origins as text", { ...good, allowedOrigins: "*" }, /an array/],
    ["an origin with a slash", origins("https://x.test/"), /without a path/],
    ["an origin without a scheme", origins("x.test"), /"https:/],
    ["an origin with its port", origins("http://x.test:80"), /browsers send/],
    ["an origin that is no URL", origins("https://x:y"), /browsers/],
    ["an origin after a space", origins(" app://x.test"), /browsers/],
    ["an origin in capitals", origins("https://X.test"), /browsers/],
    ["an origin with a star", origins("https://*.test"), /browsers/],
    ["an origin without a host", origins("file://"), /browsers/],
    ["an origin with a path", origins("app://x.test/chat"), /browsers/],
    ["an origin in an array", origins(["app://x.test"]), /browsers/],
  ];
  const refused = (call: () => unknown, message: RegExp) => {
    expect(call).toThrow(TypeError);
    expect(call).toThrow(message);
  };
  test.each(cases)("registerRoutes(http, …): %s", (_, options, message) => {
    const http = httpRouter();
    const register = () => streaming.registerRoutes(http, anything(options));
    refused(register, message);
    expect(http.getRoutes()).toEqual([]);
  });

  test.each([
    ["nothing", undefined, /httpRouter\(\).* is undefined/],
    ["the class", httpRouter, /a function/],
    ["what corsRouter() returned", corsRouter(httpRouter()), /`http` itself/],
  ])("registerRoutes(http, …): http is %s", (_, http, message) => {
    const [router, options] = [anything(http), anything(good)];
    refused(() => streaming.registerRoutes(router, options), message);
  });

  test.each([
    ["nothing", undefined, /takes \{ authorize \}.* is undefined/],
    ["no rule", {}, /authorize: undefined/],
    ["public", { authorize: "public" }, /authorize: "public"/],
    ["the rule itself", () => {}, /authorize: undefined/],
    ["a query", { authorize: query }, /a Convex function/],
  ])("hookAPI: %s", (_, options, message) => {
    refused(() => streaming.hookAPI(anything(options)), message);
  });

  test("a path that is taken", () => {
    const http = httpRouter();
    const register = () => streaming.registerRoutes(http, anything(good));
    register();
    expect(register).toThrow("'/chat' for method POST already in use");
  });
});
