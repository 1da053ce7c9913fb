import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { pass, settled, useClock } from "../../test/support/clock.js";
import {
  network,
  type Trouble,
  type Troubles,
} from "../../test/support/network.js";
import { streamed } from "../../test/support/page.js";
import { setUpStream } from "../../test/support/setup.js";
import { story, tokens } from "../../test/support/story.js";
import type { ChunkAppender } from "../client/index.js";
import { sleep } from "../time.js";
import {
  readLines,
  readStream,
  ReadStreamError,
  type ReadStreamOptions,
} from "./index.js";
import { makeRoomUntil } from "./request.js";

useClock();
let warned: ReturnType<typeof vi.spyOn>;
beforeEach(() => {
  warned = vi.spyOn(console, "warn").mockImplementation(() => {});
});
afterEach(() => {
  vi.restoreAllMocks();
  vi.unstubAllGlobals();
});

const url = "https://app.test/chat";
const text = story(40);
/** Writes the story in about 10 s. */
const slowly = async (append: ChunkAppender) => {
  for (const token of tokens(text, 20)) {
    await append(token);
    await sleep(200);
  }
};

const first =
  (trouble: Trouble): Troubles =>
  (index) =>
    index === 0 ? trouble : undefined;

/** A stream, and a server that resumes it for a GET and writes it for a POST. */
async function setUpReading(troubles?: Troubles, writer = slowly) {
  const app = await setUpStream();
  const { streamId } = app;
  const write = vi.fn(writer);
  const { requests } = network(
    (to, init) =>
      init.method === "POST" ? app.respond(write) : app.get(to, init),
    troubles,
  );
  const read = (options: Partial<ReadStreamOptions> = {}) => {
    const stream = readStream(url, { streamId, ...options });
    const seen = { text: "", isOver: false };
    const whole = (async () => {
      for await (const piece of stream) seen.text += piece;
      seen.isOver = true;
      return seen.text;
    })();
    whole.catch(() => {});
    return { stream, seen, whole, end: () => settled(whole) };
  };
  const methods = () => requests.map(({ method }) => method).join(" ");
  return { ...app, requests, methods, read, writes: write.mock.calls };
}

describe("reads the whole text", () => {
  test("of a stream that is being written", async () => {
    vi.stubGlobal("window", new EventTarget());
    const { generate, read, requests } = await setUpReading();
    const { stream, seen, end } = read();
    expect(stream.status).toBe("pending");
    void generate(slowly);
    await pass(5000);
    // The connection is not in doubt.
    window.dispatchEvent(new Event("online"));
    await pass(100);
    expect(requests).toHaveLength(1);
    expect(stream.status).toBe("streaming");
    expect(stream.offset).toBe(seen.text.length);
    expect(stream.offset).toBeGreaterThan(100);
    expect(await end()).toBe(text);
    expect(stream.status).toBe("done");
  });

  const error = {
    kind: "WriterFailed" as const,
    message: "Zu müde 😴",
    data: { code: 7 },
  };
  test.each<[string, string, "done" | "error" | "aborted", object]>([
    ["that has ended", text, "done", {}],
    ["from an offset", text, "done", { from: 100 }],
    ["from the end", text, "done", { tail: 100 }],
    ["that ended without any", "", "aborted", {}],
    ["whose writer failed", "Half", "error", {}],
    ["whose writer died", "Half", "aborted", {}],
  ])("of a stream %s", async (_, saved, end, options) => {
    const { act, abort, lib, read, streamId, requests } = await setUpReading();
    const isFailure = end === "error" && { error };
    await act(async (ctx) => {
      if (!saved) return;
      await ctx.runMutation(lib.claim, { streamId, writer: "w" });
      const final = end === "aborted" ? undefined : end;
      const save = { streamId, writer: "w", start: 0, text: saved, final };
      await ctx.runMutation(lib.append, { ...save, ...isFailure });
    });
    if (end === "aborted") await abort();
    const { from, tail = Infinity } = options as ReadStreamOptions;
    const reading = read(options);
    // The last words of a writer that still holds the stream may follow.
    await pass(saved && end === "aborted" ? 120_000 : 100);
    const rest = saved.slice(from ?? -tail);
    expect(reading.seen).toEqual({ text: rest, isOver: true });
    const known = { status: end, offset: saved.length, ...isFailure };
    expect(reading.stream).toMatchObject(known);
    if (end !== "aborted") expect(requests).toHaveLength(1);
  });

  test.each<[Trouble | undefined, number]>([
    [undefined, 7],
    ["bodiless", 12],
  ])(
    "in which the writer is silent for long, if answers are %s",
    async (trouble, count) => {
      const { generate, read, requests } = await setUpReading(() => trouble);
      void generate(async (append) => {
        await append("Before. ");
        await sleep(3 * 60_000);
        await append("After.");
      });
      expect(await read().end()).toBe("Before. After.");
      expect(requests).toHaveLength(count);
    },
  );
});

describe("when connections fail", () => {
  test.each<[string, Trouble]>([
    ["the request is lost", "lost"],
    ["the answer is lost", "unanswered"],
    ["the server is down", { status: 503 }],
    ["there are too many requests", { status: 429 }],
    ["the connection breaks before there is text", { cutAfter: 0 }],
    ["the connection breaks", { cutAfter: 321 }],
    ["the body ends early", { endAfter: 321 }],
    ["the connection goes dead", { deadAfter: 321 }],
    ["the answer never comes", "unheard"],
  ])("every character arrives once: %s", async (_, trouble) => {
    for (const drive of [undefined, "https://app.test/write"]) {
      const { generate, read, requests, writes } = await setUpReading((i) =>
        (drive ? i === 0 : i % 2 === 0) ? trouble : undefined,
      );
      if (!drive) void generate(slowly);
      const { stream, end } = read({ drive });
      expect(await end()).toBe(text);
      expect(stream.status).toBe("done");
      expect(requests.length).toBeGreaterThan(1);
      expect(writes).toHaveLength(drive ? 1 : 0);
      const warnings = trouble === "unheard" && !drive ? 1 : 0;
      expect(warned).toHaveBeenCalledTimes(warnings);
      vi.mocked(console.warn).mockClear();
    }
  });

  test("every character arrives once, wherever a body is cut", async () => {
    const short = "\uFEFFa😀中é\uFEFFb";
    const bytes = new TextEncoder().encode(short).length;
    for (let at = 0; at <= bytes; at++) {
      const hasEnded = at % 2 === 0;
      const trouble = hasEnded ? { endAfter: at } : { cutAfter: at };
      const { write, read } = await setUpReading(first(trouble));
      await write(short);
      const { seen } = read();
      // At once, if it has brought something. A cut may lose what has arrived.
      await pass(hasEnded && at > 3 ? 100 : 1500);
      expect(seen).toEqual({ text: short, isOver: true });
    }
  });

  test("it asks again when the server says so", async () => {
    const { write, read, requests } = await setUpReading(
      first({ status: 503, retryAfter: "45" }),
    );
    await write(text);
    const { whole } = read();
    await pass(44_000);
    expect(requests).toHaveLength(1);
    await pass(2000);
    expect(await whole).toBe(text);
  });

  test("it asks less and less often, and warns once", async () => {
    const { write, read, requests } = await setUpReading((index) =>
      index < 6 ? "lost" : undefined,
    );
    await write(text);
    const { whole } = read();
    const asked: number[] = [];
    for (const wait of [900, 1000, 2000, 4000, 8000, 10_000, 10_000]) {
      await pass(wait);
      asked.push(requests.length);
    }
    expect(asked).toEqual([1, 2, 3, 4, 5, 6, 7]);
    expect(await whole).toBe(text);
    expect(warned).toHaveBeenCalledOnce();
  });

  test.each<[string, Troubles]>([
    ["a wait", first({ status: 503, retryAfter: "3600" })],
    ["a dead connection's silence", first({ deadAfter: 321 })],
    ["that of a long-poll too", (i) => (i < 2 ? "unheard" : undefined)],
  ])("being back online ends %s, unless the page is hidden", async (...row) => {
    const [window, document] = [new EventTarget(), { hidden: true }];
    vi.stubGlobal("window", window);
    vi.stubGlobal("document", Object.assign(new EventTarget(), document));
    const { generate, read, requests } = await setUpReading(row[1]);
    void generate(slowly);
    const { end } = read();
    await pass(6000);
    const { length } = requests;
    window.dispatchEvent(new Event("online"));
    await pass(100);
    expect(requests).toHaveLength(length);
    Object.assign(globalThis.document, { hidden: false });
    window.dispatchEvent(new Event("online"));
    await pass(100);
    expect(requests.length).toBeGreaterThan(length);
    expect(await end()).toBe(text);
  });

  test("a response makes room for a request that drives", async () => {
    const { generate, read, requests } = await setUpReading();
    void generate(slowly);
    const { end } = read();
    await pass(500);
    const controller = new AbortController();
    void makeRoomUntil(new Promise(() => {}), controller.signal);
    await pass(1500);
    controller.abort();
    expect(requests).toHaveLength(2);
    expect(await end()).toBe(text);
    // The last one learns the status.
    expect(requests).toHaveLength(3);
  });
});

describe("drives the stream", () => {
  const drive = "https://app.test/write";

  test("and reads it as it is written", async () => {
    const app = await setUpReading();
    const { read, streamId, requests } = app;
    const headers = { Authorization: "Bearer x" };
    const { stream, end } = read({ drive, headers, body: { model: "small" } });
    await pass(250);
    const saved = (await app.body()).text;
    expect(stream.offset).toBeGreaterThan(saved.length);
    expect(await end()).toBe(text);
    expect(stream.status).toBe("done");
    const paths = requests.map(({ url }) => url.pathname);
    expect(paths).toEqual(["/write", "/chat"]);
    const body = JSON.stringify({ model: "small", streamId });
    expect(requests[0]).toMatchObject({ body });
    const types = requests.map(({ headers }) => headers.get("Content-Type"));
    expect(types).toEqual(["application/json", null]);
    for (const { headers } of requests) {
      expect(headers.get("Authorization")).toBe("Bearer x");
    }
  });

  test.each([
    [true, "POST GET", "POST GET"],
    ["auto", "HEAD POST GET", "HEAD GET"],
  ] as const)("once, if two readers do: %s", async (drive, one, other) => {
    const { read, requests, methods, writes } = await setUpReading();
    const driver = read({ drive });
    await pass(300);
    expect(driver.seen.text).not.toBe("");
    expect(await driver.end()).toBe(text);
    expect(methods()).toBe(one);
    requests.length = 0;
    const { seen } = read({ drive, tail: 9 });
    await pass(100);
    expect(seen).toEqual({ text: text.slice(-9), isOver: true });
    expect(methods()).toBe(other);
    expect(writes).toHaveLength(1);
  });

  test("and notices within 15 s that the connection is dead", async () => {
    const atOnce = (append: ChunkAppender) => append(text);
    const { read } = await setUpReading(first({ deadAfter: 20 }), atOnce);
    const { seen } = read({ drive });
    await pass(15_000);
    expect(seen.text).toBe(text);
  });
});

describe("ends", () => {
  const missing = (header: string) => `without the headers ${header}`;
  test.each<[Trouble, boolean, string]>([
    [{ status: 404, error: "Not here." }, false, "404: Not here."],
    [{ status: 400 }, false, "answered 400."],
    [{ status: 401, error: "Who are you?" }, false, "Who are you?"],
    [{ status: 403, error: "Not yours." }, false, "Not yours."],
    [{ status: 403, error: "Not now." }, true, "Not now."],
    [{ status: 200 }, false, missing("Stream-Offset, ")],
    [{ status: 200 }, true, missing("Stream-Offset.")],
    [{ status: 205 }, false, "it writes streams"],
    [{ headers: { "Stream-Offset": "" } }, false, missing("Stream-Offset, ")],
    [{ headers: { "Stream-Next-Offset": "" } }, false, "Stream-Next-Offset"],
    [{ headers: { "Stream-Status": "new" } }, false, "Stream-Status"],
    [{ headers: { "Stream-Offset": "9" } }, false, "starts at 9"],
  ])("with an error that says why: %j, drives: %s", async (...row) => {
    const [trouble, drive, message] = row;
    const { write, read, requests } = await setUpReading(() => trouble);
    await write(text);
    const reading = expect(read({ drive }).end()).rejects;
    await reading.toThrow(ReadStreamError);
    const { status = 200 } = trouble as { status?: number };
    const said = expect.stringContaining(message) as string;
    await reading.toMatchObject({ status, message: said });
    expect(requests).toHaveLength(1);
  });

  test("where Stream-Closed is hidden, after one more request", async () => {
    const headers = { "Stream-Closed": "", "Stream-Error": "%" };
    const { write, read, requests } = await setUpReading(() => ({ headers }));
    await write(text);
    const { stream, end } = read();
    expect(await end()).toBe(text);
    expect(stream).toMatchObject({ status: "done", error: undefined });
    expect(requests).toHaveLength(2);
  });

  test("when the stream is deleted, with an error", async () => {
    const { generate, read, remove } = await setUpReading();
    const writing = generate(slowly);
    const { end } = read();
    await pass(2000);
    await remove();
    await expect(end()).rejects.toMatchObject({ status: 404 });
    await settled(writing);
  });

  test("when its signal fires, with the signal's reason, and stops asking", async () => {
    const { generate, read, requests } = await setUpReading();
    const writing = generate(slowly);
    const controller = new AbortController();
    const { end } = read({ signal: controller.signal });
    await pass(2000);
    const reason = new Error("That is enough.");
    controller.abort(reason);
    await expect(end()).rejects.toBe(reason);
    expect(requests).toHaveLength(1);
    await settled(writing);
    await pass(5000);
    expect(vi.getTimerCount()).toBe(0);
  });

  test("at once when its signal has already fired", async () => {
    const { read, requests } = await setUpReading();
    const { end } = read({ signal: AbortSignal.abort() });
    await expect(end()).rejects.toMatchObject({ name: "AbortError" });
    expect(requests).toHaveLength(0);
  });

  test.each<[string, Troubles | undefined, Partial<ReadStreamOptions>]>([
    ["the next attempt", () => "lost", {}],
    ["its headers", undefined, { headers: () => new Promise(() => {}) }],
    // React Native's signals have no reason.
    ["a fetch without end", undefined, { fetch: () => new Promise(() => {}) }],
  ])(
    "when its signal fires while it waits for %s",
    async (_, troubles, options) => {
      const { read } = await setUpReading(troubles);
      const controller = new AbortController();
      const { signal } = controller;
      Object.defineProperty(signal, "reason", { value: undefined });
      const { whole } = read({ signal, ...options });
      await pass(500);
      controller.abort();
      await expect(whole).rejects.toMatchObject({ name: "AbortError" });
      // The deployment's own: the planned check.
      expect(vi.getTimerCount()).toBe(1);
    },
  );

  test("when its loop is left, and continues from there in the next", async () => {
    const { generate, streamId } = await setUpReading();
    const writing = generate(slowly);
    const stream = readStream(url, { streamId });
    let received = "";
    const readOn = async (most: number) => {
      for await (const piece of stream) {
        received += piece;
        if (received.length > most) break;
      }
    };
    await settled(readOn(100));
    await pass(3000);
    await settled(readOn(Infinity));
    await settled(writing);
    await readOn(Infinity);
    expect(received).toBe(text);
  });

  test.each(["return", "throw", "readLines"] as const)(
    "when it is left while it waits, without another request: %s",
    async (how) => {
      const { streamId, requests } = await setUpReading();
      const stream = readStream(url, { streamId });
      const reading = how === "readLines" ? readLines(stream) : stream;
      const waiting = reading.next();
      await pass(1000);
      const error = new Error("That is enough.");
      const left = settled(
        how === "throw" ? reading.throw(error) : reading.return(),
      ).catch((thrown: unknown) => thrown);
      expect(await settled(waiting)).toEqual({ done: true, value: undefined });
      expect(await left).toEqual(
        how === "throw" ? error : { done: true, value: undefined },
      );
      await pass(60_000);
      expect(requests).toHaveLength(1);
      expect(vi.getTimerCount()).toBe(0);
    },
  );
});

describe("where responses do not arrive in pieces", () => {
  test.each([
    ["heldBack", {}],
    ["heldBack", { tail: 10 }],
    ["heldBack", { drive: true, tail: 10 }],
    ["bodiless", {}],
    ["bodiless", { drive: true }],
  ] as const)(
    "but %s, the text arrives by long-polls: %j",
    async (trouble, options) => {
      const { requests, read, generate } = await setUpReading(() => trouble);
      const { stream, seen, end } = read(options);
      if (!("drive" in options)) void generate(slowly);
      await pass(5000);
      expect(seen.text.length).toBeGreaterThan(50);
      const whole = await end();
      const skipped = "drive" in options || !("tail" in options) ? 0 : 300;
      expect(whole).toBe(text.slice(-whole.length));
      expect(whole.length).toBeGreaterThanOrEqual(text.length - skipped);
      expect(stream.status).toBe("done");
      expect(warned).toHaveBeenCalledOnce();
      const polls = requests.filter(({ url }) => url.search.includes("live="));
      expect(polls.length).toBeGreaterThan(5);
      expect(polls.length).toBeLessThan(25);
      await pass(60_000);
      // The deployment's own: the planned check.
      expect(vi.getTimerCount()).toBe(1);
    },
  );

  test.each([
    ["its own fetch", "POST GET GET", 1],
    ["the app's", "POST", 0],
  ])(
    "because the platform cannot read them, with %s, %s is sent at first",
    async (whose, expected, warnings) => {
      const { read, methods } = await setUpReading(() => "bodiless");
      const { Response, fetch } = globalThis;
      vi.stubGlobal("window", whose === "the app's" ? undefined : {});
      vi.stubGlobal("Response", class {});
      const options = whose === "the app's" ? { fetch } : {};
      const { end } = read({ drive: true, ...(options as object) });
      vi.stubGlobal("Response", Response);
      await pass(100);
      expect(methods()).toBe(expected);
      expect(warned).toHaveBeenCalledTimes(warnings);
      expect(await end()).toBe(text);
    },
  );

  test.each<[string, Trouble, string]>([
    ["keeps a U+FEFF at its beginning", "bodiless", "\uFEFFA text."],
    ["may lose its last character", "clipped", "A text."],
    ["may end inside its last character", "clipped", "A 字"],
    ["keeps a U+FFFD at its end", "bodiless", "A \uFFFD"],
  ])("a long-poll %s", async (_, trouble, saved) => {
    const { write, read } = await setUpReading((i) =>
      i === 1 ? trouble : "bodiless",
    );
    await write(saved);
    expect(await read().end()).toBe(saved);
  });

  test.each<[Trouble | undefined, number[]]>([
    [undefined, [1, 2, 2, 2]],
    [{ status: 404 }, [1, 2, 2, 2]],
    ["lost", [1, 2, 2, 3]],
  ])(
    "a response that takes its time is not given up if another request is %j",
    async (trouble, expected) => {
      const late = async (append: ChunkAppender) => {
        await sleep(26_000);
        await slowly(append);
      };
      const { read, requests } = await setUpReading(
        (i) => (i === 1 ? trouble : undefined),
        late,
      );
      const { end } = read({ drive: true });
      const asked: number[] = [];
      for (const wait of [2400, 200, 7000, 15_000]) {
        await pass(wait);
        asked.push(requests.length);
      }
      expect(asked).toEqual(expected);
      expect(await end()).toBe(text);
      expect(warned).not.toHaveBeenCalled();
    },
  );
});

describe("leaves nothing behind", () => {
  /** The number of listeners that are left. */
  function listenersOf(target: EventTarget) {
    const added = vi.spyOn(target, "addEventListener").mock.calls;
    const removed = vi.spyOn(target, "removeEventListener").mock.calls;
    return () => added.length - removed.length;
  }

  test("of 10 minutes of a dead server, with headers from a function", async () => {
    const { read, requests } = await setUpReading(() => "lost");
    vi.stubGlobal("window", new EventTarget());
    const controller = new AbortController();
    const { signal } = controller;
    const listeners = listenersOf(signal);
    const inWindow = listenersOf(window);
    readStream(url, { streamId: "id", signal });
    // That reading has not begun.
    expect(listeners()).toBe(0);
    let most = 0;
    const headers = () => {
      most = Math.max(most, listeners());
      return Promise.resolve({});
    };
    const { end } = read({ signal, headers });
    await pass(10 * 60_000);
    expect(requests.length).toBeGreaterThan(30);
    expect(most).toBe(1);
    controller.abort();
    await expect(end()).rejects.toThrow();
    expect([listeners(), inWindow(), vi.getTimerCount()]).toEqual([0, 0, 0]);
  });

  test.each([true, false])(
    "of a response that is left: its body is cancelled, if it has arrived: %s",
    async (hasArrived) => {
      const { response, cancelled, write } = streamed({
        "Stream-Offset": "0",
        "Stream-Next-Offset": "0",
        "Stream-Status": "streaming",
      });
      let arrive = () => {};
      const arrival = new Promise<void>((resolve) => (arrive = resolve));
      const fetch = () => arrival.then(() => response);
      const stream = readStream(url, { streamId: "id", fetch });
      const reading = stream.next();
      await write("So");
      if (hasArrived) arrive();
      await pass(100);
      await stream.return();
      arrive();
      const value = hasArrived ? "So" : undefined;
      expect(await reading).toEqual({ value, done: !hasArrived });
      await pass(100);
      expect(cancelled).toHaveBeenCalledOnce();
    },
  );
});

test("a platform without TextDecoder is told so", async () => {
  const { write, read } = await setUpReading();
  await write(text);
  vi.stubGlobal("TextDecoder", undefined);
  await expect(read().end()).rejects.toThrow("no TextDecoder");
});

describe("the URL", () => {
  const start = "offset=0000000000000000";
  /** React Native's, which adds a slash, and has no parameters. */
  const native = (slash: RegExp) =>
    class {
      constructor(readonly href: string) {
        this.href = href.replace(slash, "$&/");
      }
      toString = () => this.href;
      get searchParams() {
        throw new Error("URL.searchParams is not implemented");
      }
    } as unknown as typeof URL;
  const old = native(/[^/]$/);
  const newer = native(/^[^?#]*[^/]$/);

  test.each<[typeof URL | null, string, string, object?]>([
    [null, "/r?a=b://c?d&&offset=7#e", `/r?a=b://c?d&streamId=id&${start}`],
    [null, "/r?streamId", "/r?streamId=id&tail=9", { tail: 9 }],
    [null, "../r", `/r?streamId=id&${start}`],
    [URL, "https://app.test/r/", `/r/?streamId=id&${start}`],
    [newer, "https://app.test/r", `/r?streamId=id&${start}`],
    [newer, "https://app.test/r?a=/", `/r?a=/&streamId=id&${start}`],
    [old, "https://app.test/r?a=b", `/r?a=b&streamId=id&${start}`],
  ])("%o %s is asked as %s", async (platform, to, asked, options) => {
    vi.stubGlobal("location", { href: "https://app.test/page/" });
    if (platform) vi.stubGlobal("URL", platform);
    const given = platform ? new URL(to) : to;
    const fetch = vi.fn((_: string) =>
      Promise.resolve(new Response(null, { status: 404 })),
    );
    const reading = readStream(given, { streamId: "id", fetch, ...options });
    vi.unstubAllGlobals();
    await expect(settled(reading.next())).rejects.toThrow("404");
    expect(fetch.mock.calls[0]![0]).toBe(`https://app.test${asked}`);
  });

  test("must be absolute where there is no page", () => {
    expect(() => readStream("/read", { streamId: "id" })).toThrow(
      "an absolute URL",
    );
  });
});

describe("the request", () => {
  test("is not made with an invalid header, whose value is not revealed", async () => {
    const { read, requests } = await setUpReading();
    const { end } = read({ headers: { Authorization: "s3cret\nx" } });
    await expect(end()).rejects.toThrow(
      /^One of the headers for readStream\(\) is invalid(?!.*s3cret)/,
    );
    expect(requests).toHaveLength(0);
  });

  test("has the headers that a function returns each time", async () => {
    let token = 0;
    const troubles = first({ cutAfter: 5 });
    const { write, read, requests } = await setUpReading(troubles);
    await write(text);
    const headers = () => Promise.resolve({ Authorization: `${++token}` });
    await read({ headers }).end();
    const tokens = requests.map(({ headers }) => headers.get("Authorization"));
    expect(tokens).toEqual(["1", "2"]);
  });

  test.each([
    [{ streamId: "" }, "needs the id of a stream"],
    [{ streamId: undefined }, "needs the id of a stream"],
    [{ streamId: "id", from: -1 }, "from must be an offset"],
    [{ streamId: "id", from: NaN }, "from must be an offset"],
    [{ streamId: "id", tail: -1 }, "tail must be a whole number"],
    [{ streamId: "id", tail: 1, from: 0 }, "without `from`"],
  ])("is not made with %j", (options, message) => {
    expect(() => readStream(url, options as ReadStreamOptions)).toThrow(
      message,
    );
  });
});
