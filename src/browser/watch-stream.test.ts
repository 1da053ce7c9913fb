import { describe, expect, test, vi } from "vitest";
import { pass } from "../../test/support/clock.js";
import { streamed, usePage } from "../../test/support/page.js";
import { retryWait } from "./http-side.js";
import type { QueryResult, WatchStreamOptions } from "./index.js";
import { giveWay } from "./request.js";

const page = usePage();
const { requests, logged } = page;

const hello = () => new Response("Hello.");
const refused = (status: number) => () => new Response(null, { status });
const never = () => new Promise<Response>(() => {});
const saved = (text: string, status: QueryResult["status"] = "done") => ({
  text,
  status,
});
const pending = { ...saved("", "pending"), claimed: false };

describe("what HTTP answers", () => {
  const html = { "Content-Type": "text/html; charset=utf-8" };

  test.each<[string, BodyInit, Record<string, string>]>([
    ["plain text", "Hello.", {}],
    ["text without a type", new TextEncoder().encode("Hello."), {}],
    ["events", "Hello.", { "Content-Type": "text/event-stream" }],
    ["our header", "Hello.", { ...html, "Stream-Offset": "0" }],
  ])(
    "%s is the text, done if the database is silent",
    async (_, body, headers) => {
      const { now } = await page.watch(() => new Response(body, { headers }));
      await pass(3700);
      expect(now()).toMatchObject(saved("Hello.", "streaming"));
      await pass(150);
      expect(now()).toMatchObject({ ...saved("Hello."), isLoading: false });
      expect(requests).toMatchObject([{ body: { streamId: "stream" } }]);
      expect([...requests[0]!.headers]).toEqual([
        ["authorization", "Bearer hush"],
        ["content-type", "application/json"],
      ]);
      expect(logged).toEqual([]);
    },
  );

  test.each([
    ["a login page", 200, html, " with text/html; charset=utf-8. Something"],
    ["JSON", 200, { "Content-Type": "Application/JSON" }, ".convex.site"],
    ["401", 401, {}, "refused the token"],
    ["403", 403, html, "refused the token"],
    ["400", 400, {}, "path of the route"],
    ["404", 404, {}, "path of the route"],
  ])("%s is refused and reported once, and is not text", async (...row) => {
    const [, status, headers, help] = row;
    const { now } = await page.watch(
      () => new Response("Please log in.", { status, headers }),
    );
    const message = expect.stringContaining(
      `https://app.test/chat answered ${status}`,
    ) as string;
    const error = { kind: "Refused", status, message };
    expect(now()).toMatchObject({ ...saved("", "pending"), error });
    expect(now().isLoading).toBe(false);
    expect(logged).toEqual([message]);
    expect(logged[0]).toContain(help);
    expect(console.error).toHaveBeenCalledOnce();
    await pass(100_000);
    expect(requests).toHaveLength(1);
    now().retry();
    await pass(150);
    expect(requests).toHaveLength(2);
    expect(logged).toHaveLength(1);
    await page.say(saved("Saved."));
    expect(now()).toMatchObject(saved("Saved."));
    expect(now().error).toBeUndefined();
    now().retry();
    await pass(150);
    expect(requests).toHaveLength(2);
  });

  test.each([
    [0, undefined, 1000],
    [408, "0.5", 1000],
    [429, new Date(65_000).toUTCString(), 5000],
    [500, "soon", 1000],
    [503, undefined, 1000],
  ])(
    "%i with Retry-After: %s is asked again after %i ms, and reported once",
    async (...row) => {
      const [status, retryAfter, wait] = row;
      vi.spyOn(Math, "random").mockReturnValue(0);
      vi.setSystemTime(60_000);
      const headers = new Headers(
        retryAfter ? { "Retry-After": retryAfter } : {},
      );
      const { now } = await page.watch((attempt) => {
        if (attempt > 1) return hello();
        if (status === 0) return new TypeError("Failed to fetch");
        return new Response("busy", { status, headers });
      });
      await pass(wait - 151);
      expect(requests).toHaveLength(1);
      await pass(151);
      expect(now().text).toBe("Hello.");
      expect(requests).toHaveLength(2);
      const advice = status === 0 ? "OPTIONS" : "deployment's logs";
      expect(logged).toEqual([expect.stringContaining(advice)]);
      expect(console.warn).toHaveBeenCalledOnce();
    },
  );

  test.each([
    [1, 0, 1000],
    [1, 1, 2000],
    [3, 0, 4000],
    [3, 0.5, 6000],
    [5, 1, 32_000],
    [6, 0, 30_000],
    [1000, 1, 60_000],
  ])(
    "after %i failures in a row the wait is, at random %f, %i ms",
    (...row) => {
      const [losses, random, wait] = row;
      expect(retryWait(losses, random)).toBe(wait);
    },
  );

  test("failures in a row are counted, until `retry()`", async () => {
    vi.spyOn(Math, "random").mockReturnValue(0);
    const { now } = await page.watch(refused(503));
    const requestsBy: number[] = [];
    for (const ms of [6840, 20, 1, 990, 20]) {
      // After 1, 2 and 4 s, and then at once and after 1 s.
      if (ms === 1) now().retry();
      await pass(ms);
      requestsBy.push(requests.length);
    }
    expect(requestsBy).toEqual([3, 4, 5, 5, 6]);
  });

  test("no head within a second ends responses that follow, the oldest first, then twice as many", async () => {
    const ended: number[] = [];
    const stops = [0, 1, 2, 3, 4, 5].map((i) => giveWay(() => ended.push(i)));
    stops[1]!();
    let answer = (_: Response) => {};
    await page.watch(() => new Promise((resolve) => (answer = resolve)));
    await pass(849);
    expect(ended).toEqual([]);
    await pass(1);
    expect(ended).toEqual([0]);
    await pass(1000);
    expect(ended).toEqual([0, 2, 3]);
    answer(streamed().response);
    await pass(3000);
    expect(ended).toEqual([0, 2, 3]);
    for (const stop of stops) stop();
  });

  test("no head within 30 s is no answer", async () => {
    vi.spyOn(Math, "random").mockReturnValue(0);
    const { now } = await page.watch((attempt) =>
      attempt > 1 ? hello() : never(),
    );
    await pass(29_840);
    expect([requests[0]!.signal.aborted, logged]).toEqual([false, []]);
    await pass(20);
    expect(requests[0]!.signal.aborted).toBe(true);
    expect(logged).toEqual([expect.stringContaining("within 30 s")]);
    await pass(1150);
    expect(now().text).toBe("Hello.");
  });

  test("no text after the head is a model that thinks", async () => {
    const { response, write } = streamed();
    const { now } = await page.watch(() => response);
    await pass(60_000);
    now().retry();
    await write("Hello.");
    now().retry();
    await pass(150);
    expect(now().text).toBe("Hello.");
    expect([requests.length, logged]).toEqual([1, []]);
  });

  // A token may be read from a file, and a header's value has one byte for each
  // character. Some platforms' errors quote it.
  const token = { authToken: "hush\nhush" };
  const header = { headers: { X: "hush Ł" } };
  const invalid = ["was not asked", "Header values"];
  test.each<[string, Response, Partial<WatchStreamOptions>, string[]]>([
    ["204", new Response(null, { status: 204 }), {}, []],
    ["205", new Response(null, { status: 205 }), {}, []],
    ["a `fetch` that gives no body", new Response(null), {}, []],
    ["a `fetch` that never answers", hello(), { fetch: never }, []],
    ["a broken token", hello(), token, invalid],
    ["a broken header", hello(), header, invalid],
    ["no TextDecoder", hello(), {}, ["TextDecoder", "polyfill"]],
    ["no TextDecoder and no body", new Response(null), {}, []],
  ])(
    "%s leaves the database, and is reported if it is a mistake",
    async (...row) => {
      const [what, response, options, said] = row;
      if (what.startsWith("no TextDecoder"))
        vi.stubGlobal("TextDecoder", undefined);
      const { now } = await page.watch(() => response, options);
      expect(logged).toHaveLength(said.length && 1);
      for (const part of said) expect(logged[0]).toContain(part);
      await pass(20_000);
      expect(requests.length).toBe(/fetch.*never|broken/.test(what) ? 0 : 1);
      await page.say(saved("Saved.", "streaming"));
      expect(now()).toMatchObject(saved("Saved.", "streaming"));
      expect(now().error?.kind).toBeUndefined();
      await page.say(saved("Saved."));
      expect(now()).toMatchObject(saved("Saved."));
    },
  );

  test("a body that is cut off leaves the database, and is not taken as done", async () => {
    const { response, write, fail } = streamed();
    const { now } = await page.watch(() => response);
    await write("Half");
    await fail();
    await pass(10_000);
    expect(now()).toMatchObject(saved("Half", "streaming"));
    expect([page.client.open(), logged]).toEqual([1, []]);
  });

  test("a response that arrives after it was given up is cancelled", async () => {
    const { response, cancelled } = streamed();
    let arrive = (_: Response) => {};
    // This `fetch` ignores its signal.
    const fetch = () => new Promise<Response>((resolve) => (arrive = resolve));
    await page.watch(never, { fetch });
    await page.say(saved("Saved."));
    arrive(response);
    await pass(10);
    expect(cancelled).toHaveBeenCalledOnce();
  });

  test("a pause in it opens the database, later with each false alarm", async () => {
    const { response, write } = streamed();
    await page.watch(() => response);
    expect(page.client.open()).toBe(1);
    for (const quiet of [1000, 2000, 4000, 8000, 15_000, 15_000]) {
      await write("More");
      expect(page.client.open()).toBe(0);
      await pass(quiet / 2);
      await write(" text. ");
      await pass(quiet - 152);
      expect(page.client.open()).toBe(0);
      await pass(4);
      expect(page.client.open()).toBe(1);
    }
  });

  test.each(["online", "pageshow", "visibilitychange"])(
    "%s ends a wait, and doubts a connection that has been silent for a second",
    async (name) => {
      const [window, document] = [new EventTarget(), new EventTarget()];
      vi.stubGlobal("window", window);
      vi.stubGlobal("document", document);
      const target = name === "visibilitychange" ? document : window;
      const wake = async (hidden: boolean) => {
        Object.assign(document, { hidden });
        target.dispatchEvent(new Event(name));
        await pass(10);
      };
      const { response, write } = streamed();
      const later = { status: 503, headers: { "Retry-After": "3600" } };
      const { watching } = await page.watch((attempt) =>
        attempt > 1 ? response : new Response("", later),
      );
      (await page.watch(never)).watching.close();
      await pass(1000);
      await wake(true);
      expect(requests).toHaveLength(1);
      await wake(false);
      expect(requests).toHaveLength(2);
      // The first pause is a false alarm.
      for (const text of ["One. ", "Two. "]) {
        await write(text);
        await pass(700);
        await wake(false);
        expect(page.client.open()).toBe(0);
        await pass(200);
        await wake(false);
        expect(page.client.open()).toBe(1);
      }
      watching.close();
      await wake(false);
      expect(requests).toHaveLength(2);
    },
  );

  test("text that differs from the database's: the database is read at once, and is right", async () => {
    const { response, write } = streamed();
    const { now } = await page.watch(() => response);
    await page.say(saved("Hello *** and", "streaming"));
    await write("Hello ");
    await write("bob and");
    expect(page.client.open()).toBe(1);
    expect(requests[0]!.signal.aborted).toBe(true);
    await page.say(saved("Hello *** and more", "streaming"));
    expect(now().text).toBe("Hello *** and more");
    // The query may change the text at any time, also after the end.
    await page.say(saved("Hello *** and more"));
    await page.say(saved("[removed]"));
    expect(now()).toMatchObject(saved("[removed]"));
  });
});

describe("in development, it says", () => {
  type Row = [string, boolean, number, QueryResult | null | Error, number];
  const one = saved("One.", "streaming");
  const claimed = { ...pending, claimed: true };
  const error = new Error("No.");
  const none = saved("", "streaming");
  test.each<[...Row, help: string]>([
    ["that no one starts it", false, 0, pending, 9900, "`driven:"],
    ["not at once that no one does", false, 0, pending, 9800, ""],
    ["not that another does", false, 0, claimed, 11_000, ""],
    ["that an id is no stream's", false, 0, saved("", "error"), 0, "optimis"],
    ["not that of one with text", false, 0, saved("Hm", "error"), 0, ""],
    ["that the query fails beside HTTP", true, 0, error, 0, "Elsewhere this"],
    ["not so where it is thrown", false, 0, error, 0, ""],
    ["that the query answers null", true, 0, null, 0, "before the message"],
    ["that bytes are held back", true, 2851, one, 0, "holds the response"],
    ["not that they are late", true, 2600, one, 0, ""],
    ["not that they are if none are saved", true, 2851, none, 0, ""],
  ])("%s", async (_, driven, before, answer, after, help) => {
    await page.watch(() => streamed().response, { driven });
    await pass(before);
    await page.say(answer);
    await pass(after);
    await page.say(answer);
    expect(logged).toEqual(help ? [expect.stringContaining(help)] : []);
    expect(console.error).not.toHaveBeenCalled();
  });

  test("nothing of a stream that fails before its text, or pauses", async () => {
    const { now } = await page.watch(() => streamed().response);
    await page.say({ ...pending, claimed: true });
    await page.say(saved("", "error"));
    expect(now().status).toBe("error");
    const paused = streamed();
    const options = { streamId: "another" };
    await page.say(undefined);
    await page.watch(() => paused.response, options);
    await paused.write("One.");
    await pass(3001);
    await page.say(one);
    expect(logged).toEqual([]);
  });

  test("nothing in production, where a problem is reported without advice", async () => {
    vi.stubEnv("NODE_ENV", "production");
    await page.watch(never, { driven: false });
    await page.say(pending);
    await pass(11_000);
    await page.say(saved("", "error"));
    await page.say(undefined);
    await page.watch(refused(404), { streamId: "another" });
    expect(logged).toEqual(["https://app.test/chat answered 404."]);
    vi.unstubAllEnvs();
  });
});

describe("a request that was refused is made again", () => {
  const guarded = () => {
    const isNew =
      requests.at(-1)!.headers.get("Authorization") === "Bearer new";
    return isNew ? hello() : refused(401)();
  };

  test("when a function gives another token, and not before", async () => {
    vi.spyOn(Math, "random").mockReturnValue(0);
    let token = "old";
    const authToken = () => Promise.resolve(token);
    const { now } = await page.watch(guarded, { authToken });
    await pass(1000);
    expect(now().error?.status).toBe(401);
    token = "new";
    await pass(3000);
    expect(now()).toMatchObject(saved("Hello.", "streaming"));
    expect(requests).toHaveLength(2);
  });

  test("after a function has failed to give one", async () => {
    vi.spyOn(Math, "random").mockReturnValue(0);
    const headers = vi.fn(() =>
      Promise.resolve({ Authorization: "Bearer new" }),
    );
    headers.mockRejectedValueOnce(new Error("hush"));
    const options = { headers, authToken: null };
    const { now } = await page.watch(guarded, options);
    expect(logged).toEqual([expect.stringContaining("was not asked")]);
    await pass(1100);
    expect(now().text).toBe("Hello.");
    expect(requests).toHaveLength(1);
  });
});

describe("the stream is asked for", () => {
  const text = saved("One.", "streaming");
  type Answer = QueryResult | null | Error | undefined;
  type Row = [boolean | "auto" | undefined, boolean, Answer, number, number];
  test.each<Row>([
    // Driven, connected before, what the database says; requests at once, and after 0.3 s.
    ["auto", true, undefined, 0, 0],
    ["auto", true, pending, 1, 1],
    ["auto", true, saved("", "pending"), 1, 1],
    ["auto", true, { ...pending, claimed: true }, 0, 0],
    ["auto", true, text, 0, 0],
    ["auto", true, saved("One."), 0, 0],
    [false, true, pending, 0, 0],
    [undefined, true, pending, 0, 0],
    [true, true, undefined, 1, 1],
    [true, true, text, 0, 0],
    [true, true, { ...pending, claimed: true }, 0, 0],
    [true, false, undefined, 0, 1],
    [true, false, pending, 1, 1],
    [true, false, saved("One."), 0, 0],
    [true, false, null, 1, 1],
    [true, false, new Error("No."), 1, 1],
  ])(
    "with driven %j, connected before: %s, and %j: %i and %i times",
    async (...row) => {
      const [driven, hasEverConnected, answer, atOnce, later] = row;
      await page.say(answer);
      const client = page.newClient(hasEverConnected);
      const { watching } = await page.watch(never, { driven }, client);
      await pass(145);
      expect(requests).toHaveLength(atOnce);
      await pass(10);
      expect(requests).toHaveLength(later);
      watching.close();
    },
  );

  test("once by a page that was just loaded, though the database answers meanwhile", async () => {
    const client = page.newClient(false);
    const { now, watching } = await page.watch(never, {}, client);
    await page.say(undefined);
    client.tell();
    await pass(1000);
    expect(requests).toHaveLength(1);
    expect(now().isLoading).toBe(true);
    watching.close();
  });

  test("with what the app adds, and its query with the same arguments", async () => {
    const asked = vi.spyOn(page.client, "watchQuery");
    await page.say({ ...pending, model: "large" } as QueryResult);
    const { now } = await page.watch(hello, {
      args: { model: "large" },
      body: { model: "large" },
      headers: [["Content-Type", "text/plain"]],
      authToken: null,
    });
    expect(now()).toEqual({
      ...saved("Hello.", "streaming"),
      ...{
        isLoading: false,
        model: "large",
        retry: expect.any(Function) as never,
      },
    });
    expect(asked).toHaveBeenCalledWith("chat:body", {
      streamId: "stream",
      model: "large",
    });
    expect(requests[0]!.body).toEqual({ streamId: "stream", model: "large" });
    expect([...requests[0]!.headers]).toEqual([["content-type", "text/plain"]]);
  });

  test.each([
    ["a 205", refused(205), ""],
    ["HTTP", hello, "Hello."],
    ["the database, while HTTP hangs", never, "Saved."],
  ])(
    "once, if the page knows from %s that it has begun",
    async (_, answer, first) => {
      const { now, watching } = await page.watch(answer);
      if (first === "Saved.") await page.say(saved("Saved.", "streaming"));
      expect(now().text).toBe(first);
      watching.close();
      await pass(6000);
      await page.say(undefined);
      const later = await page.watch(answer);
      expect(later.now()).toMatchObject({ text: "", isLoading: true });
      expect(requests).toHaveLength(1);
      later.now().retry();
      await pass(150);
      expect(requests).toHaveLength(2);
    },
  );

  test("not if it has ended by the time there is a token", async () => {
    let give = (_: string) => {};
    const token = new Promise<string>((resolve) => (give = resolve));
    await page.watch(never, { authToken: () => token });
    await page.say(saved("Saved."));
    give("late");
    await pass(150);
    expect(requests).toHaveLength(0);
  });

  test("not if it has begun by what the server rendered, though the query lags", async () => {
    await page.say(pending);
    const initial = saved("One.", "streaming");
    const { now } = await page.watch(never, { initial });
    expect([now().text, requests.length]).toEqual(["One.", 0]);
  });

  test.each<[string, Partial<WatchStreamOptions>]>([
    ["there is none", { streamId: "" }],
    ["there is no URL", { url: undefined }],
  ])("not while %s", async (_, options) => {
    const asked = vi.spyOn(page.client, "watchQuery");
    const { now } = await page.watch(hello, { ...options, initial: null });
    await pass(1000);
    expect(requests).toHaveLength(0);
    const isLoading = options.streamId === undefined;
    expect(asked.mock.calls.length > 0).toBe(isLoading);
    expect(now()).toMatchObject({ ...saved("", "pending"), isLoading });
  });

  test("from where HTTP's text ends, with a little overlap, if pages are read", async () => {
    const { response, write } = streamed();
    const asked = vi.spyOn(page.client, "watchQuery");
    await page.watch(() => response, { incremental: true });
    await write("x".repeat(3000));
    await pass(1000);
    const args = { streamId: "stream", from: 1976 };
    expect(asked).toHaveBeenLastCalledWith("chat:body", args);
  });
});

describe("one reader", () => {
  const initial = saved("One.", "streaming");
  const args = { big: 1n };
  test.each<[boolean, string, Partial<WatchStreamOptions>]>([
    [true, "other ways to ask", { driven: "auto", incremental: false }],
    [true, "equal arguments", { args: { ...args } }],
    [false, "pages", { incremental: true }],
    [false, "a tail", { tail: 3 }],
    [false, "arguments", { args: { big: 2n } }],
    [false, "a URL", { url: "https://other.test/chat" }],
    [false, "a stream", { streamId: "another" }],
  ])(
    "is shared: %s, with a watcher that has %s of its own",
    async (isShared, _, options) => {
      const one = await page.watch(never, { initial, args });
      const two = await page.watch(never, { initial, args, ...options });
      expect(one.now().text).toBe("One.");
      expect(two.now() === one.now()).toBe(isShared);
    },
  );

  test("serves everyone as long as anyone is there: one request, one text", async () => {
    const { response, write } = streamed();
    const all = [await page.watch(() => response), await page.watch(never)];
    await write("Hello.");
    expect(requests).toHaveLength(1);
    all[0]!.watching.close();
    await write(" World.");
    expect(all[1]!.now().text).toBe("Hello. World.");
    expect(page.client.open()).toBe(0);
    await pass(6000);
    expect(page.client.open()).toBe(1);
    await write(" Bye.");
    expect(all[1]!.now().text).toBe("Hello. World. Bye.");
  });

  test("is kept for 5 s, and shows text that arrived meanwhile at once", async () => {
    const { response, write } = streamed();
    const first = await page.watch(() => response);
    first.watching.close();
    await pass(4500);
    await write("Hello.");
    expect(page.client.open()).toBe(1);
    const again = await page.watch(never, {}, page.client, 0);
    expect(again.now().text).toBe("Hello.");
    await pass(500);
    expect(page.client.open()).toBe(0);
    again.watching.close();
    await pass(4990);
    expect(page.client.open()).toBe(0);
    expect(requests[0]!.signal.aborted).toBe(false);
    await pass(20);
    expect(requests[0]!.signal.aborted).toBe(true);
  });

  test("that is in use does not make way for one that is closed twice", async () => {
    const { watching } = await page.watch(never);
    watching.close();
    await pass(6000);
    await page.watch(never, { driven: "auto" });
    watching.close();
    await page.watch(never);
    await pass(6000);
    await page.watch(never);
    expect(page.client.open()).toBe(1);
  });

  test("is closed when 50 others were left later", async () => {
    const showAndLeave = async (stream: number) => {
      const options = { streamId: `${stream}` };
      const { watching } = await page.watch(never, options, page.client, 10);
      watching.close();
    };
    await page.watch(never, { streamId: "in use" });
    for (let i = 0; i < 20; i++) await showAndLeave(i);
    await showAndLeave(0);
    for (let i = 20; i < 50; i++) await showAndLeave(i);
    const closed = () =>
      requests.flatMap(({ signal }, i) => (signal.aborted ? i : []));
    expect(closed()).toEqual([]);
    await showAndLeave(50);
    expect(closed()).toEqual([2]);
  });

  test("tells every listener of each change once, until it is closed", async () => {
    const { now, watching } = await page.watch(never, { driven: false });
    const listener = vi.fn();
    const stops = [watching.subscribe(listener), watching.subscribe(listener)];
    const calls = () => listener.mock.calls.splice(0).length;
    page.answer = saved("One.", "streaming");
    page.client.tell();
    await page.say(saved("One. Two.", "streaming"));
    expect(calls()).toBe(2);
    expect(now()).toBe(now());
    page.client.tell();
    await pass(150);
    expect(calls()).toBe(0);
    stops[0]!();
    await page.say(saved("One. Two. Three.", "streaming"));
    expect(calls()).toBe(1);
    await page.watch(never, { driven: false });
    watching.close();
    await page.say(saved("One. Two."));
    expect(calls()).toBe(0);
  });

  test("throws what the query throws, unless text arrives over HTTP", async () => {
    await page.say(new Error("Not yours."));
    const { now } = await page.watch(never, { driven: false });
    expect(() => now()).toThrow("Not yours.");
    await page.say(saved("Yours.", "streaming"));
    expect(now().text).toBe("Yours.");
    await page.say(new Error("Not yours."));
    expect(() => now()).toThrow("Not yours.");
    for (const answer of [never, refused(503)]) {
      const streamId = String(answer);
      const overHttp = await page.watch(answer, { streamId });
      expect(overHttp.now().text).toBe("");
    }
  });

  test("works with the client that has `onUpdate`", async () => {
    const unsubscribed = vi.fn();
    type Listeners = [(value: unknown) => void, (error: Error) => void];
    const onUpdate = vi.fn(
      (..._: [unknown, unknown, ...Listeners]) => unsubscribed,
    );
    const options = { driven: false };
    const { now, watching } = await page.watch(never, options, { onUpdate });
    const [query, args, result, error] = onUpdate.mock.calls[0]!;
    expect([query, args]).toEqual(["chat:body", { streamId: "stream" }]);
    expect(now()).toMatchObject({ text: "", isLoading: true });
    for (const answer of [pending, saved("One.", "streaming")]) {
      result(answer);
      await pass(150);
      expect(now()).toMatchObject({ text: answer.text, isLoading: false });
    }
    error(new Error("Not yours."));
    await pass(150);
    expect(() => now()).toThrow("Not yours.");
    watching.close();
    await pass(6000);
    expect(unsubscribed).toHaveBeenCalledOnce();
  });
});
