import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { pass, settled, useClock } from "../../test/support/clock.js";
import { network, type Trouble } from "../../test/support/network.js";
import { setUpStream } from "../../test/support/setup.js";
import { story, tokens } from "../../test/support/story.js";
import { sleep } from "../time.js";
import {
  readLines,
  readStream,
  ReadStreamError,
  type ReadStreamOptions,
} from "./index.js";

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
const slowly = async (append: (text: string) => Promise<void>) => {
  for (const token of tokens(text, 20)) {
    await append(token);
    await sleep(200);
  }
};

type Troubles = (index: number) => Trouble | undefined;
const first =
  (trouble: Trouble): Troubles =>
  (index) =>
    index === 0 ? trouble : undefined;

/** A stream, and a server that resumes it for a GET and writes it for a POST. */
async function setUpReading(troubles?: Troubles) {
  const app = await setUpStream();
  const { streamId } = app;
  const write = vi.fn(slowly);
  const serve = (to: string, init: RequestInit) =>
    init.method === "POST" ? app.respond(write) : app.get(to, init);
  const { requests } = network(serve, troubles);
  const read = (options: Partial<ReadStreamOptions> = {}) => {
    const stream = readStream(url, { streamId, ...options });
    const seen = { text: "" };
    const whole = (async () => {
      for await (const piece of stream) seen.text += piece;
      return seen.text;
    })();
    whole.catch(() => {});
    return { stream, seen, whole, end: () => settled(whole) };
  };
  return { ...app, serve, requests, read, writes: write.mock.calls };
}

function stoppable() {
  const controller = new AbortController();
  return {
    signal: controller.signal,
    abort: (reason?: unknown) => controller.abort(reason),
  };
}

describe("reads the whole text", () => {
  test("of a stream that has ended, with one request", async () => {
    const { write, read, streamId, requests } = await setUpReading();
    await write(text);
    const { stream, end } = read();
    expect(await end()).toBe(text);
    expect(stream).toMatchObject({ status: "done", offset: text.length });
    expect(requests.map(({ url }) => url.search)).toEqual([
      `?streamId=${streamId}&offset=0000000000000000`,
    ]);
  });

  test("of a stream that is being written", async () => {
    const { generate, read } = await setUpReading();
    const { stream, seen, end } = read();
    expect(stream.status).toBe("pending");
    void generate(slowly);
    await pass(5000);
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
  test.each<[string, object, Partial<ReadStreamOptions>, string, object]>([
    ["from an offset", { text }, { from: 100 }, text.slice(100), {}],
    ["from the end", { text }, { tail: 100 }, text.slice(-100), {}],
    ["that ended without any", { stop: true }, {}, "", { status: "aborted" }],
    [
      ...([
        "whose writer failed",
        { text: "Half", error },
        {},
        "Half",
      ] as const),
      { status: "error", error },
    ],
    [
      ...(["whose writer died", { text: "Half", stop: true }, {}] as const),
      ...(["Half", { status: "aborted" }] as const),
    ],
  ])("of a stream %s", async (_, ended, options, rest, end) => {
    const { act, abort, lib, read, streamId } = await setUpReading();
    const { text = "", stop, error } = ended as Record<string, never>;
    await act(async (ctx) => {
      if (!text) return;
      await ctx.runMutation(lib.claim, { streamId, writer: "w" });
      const save = { streamId, writer: "w", start: 0, text };
      const final = error ? "error" : stop ? undefined : "done";
      await ctx.runMutation(lib.append, { ...save, final, error });
    });
    if (stop) await abort();
    const reading = read(options);
    expect(await reading.end()).toBe(rest);
    const offset = (text as string).length;
    expect(reading.stream).toMatchObject({ status: "done", offset, ...end });
  });

  test("of more than one response holds", async () => {
    const { write, read, requests } = await setUpReading();
    const long = "中文".repeat(4_000_000);
    await write(long);
    expect((await read().end()) === long).toBe(true);
    expect(requests.length).toBeGreaterThan(1);
  });

  test("in which the writer is silent for long", async () => {
    const { generate, read } = await setUpReading();
    void generate(async (append) => {
      await append("Before. ");
      await sleep(20 * 60_000);
      await append("After.");
    });
    expect(await read().end()).toBe("Before. After.");
  });
});

describe("when connections fail", () => {
  test.each<[string, Trouble]>([
    ["the request is lost", "lost"],
    ["the server is down", { status: 503 }],
    ["there are too many requests", { status: 429 }],
    ["the connection breaks before there is text", { cutAfter: 0 }],
    ["the connection breaks", { cutAfter: 321 }],
    ["the body ends early", { endAfter: 321 }],
    ["the connection goes dead", { deadAfter: 321 }],
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
    }
  });

  test.each(["45", new Date(45_000).toUTCString()])(
    "it asks again when the server says so: %s",
    async (retryAfter) => {
      const { write, read, requests } = await setUpReading(
        first({ status: 503, retryAfter }),
      );
      await write(text);
      vi.setSystemTime(0);
      const { whole } = read();
      await pass(44_000);
      expect(requests).toHaveLength(1);
      await pass(2000);
      expect(await whole).toBe(text);
    },
  );

  test.each<[string, Trouble]>([
    ["a wait", { status: 503, retryAfter: "3600" }],
    ["a dead connection's silence", { deadAfter: 321 }],
  ])("coming online ends %s", async (_, trouble) => {
    const window = new EventTarget();
    vi.stubGlobal("window", window);
    const { generate, read, requests } = await setUpReading(first(trouble));
    void generate(slowly);
    const { end } = read();
    await pass(6000);
    expect(requests).toHaveLength(1);
    window.dispatchEvent(new Event("online"));
    await pass(100);
    expect(requests.length).toBeGreaterThan(1);
    expect(await end()).toBe(text);
  });

  test("every character arrives once, wherever a body is cut", async () => {
    const short = "\uFEFFa😀中é\uFEFFb";
    const bytes = new TextEncoder().encode(short).length;
    for (let cutAfter = 0; cutAfter <= bytes; cutAfter++) {
      const { write, read } = await setUpReading(first({ cutAfter }));
      await write(short);
      expect(await read().end()).toBe(short);
    }
  });

  test("it warns once of many failures in a row", async () => {
    const { write, read } = await setUpReading((index) =>
      index < 6 ? "lost" : undefined,
    );
    await write(text);
    expect(await read().end()).toBe(text);
    expect(warned).toHaveBeenCalledOnce();
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
    expect(requests.map(({ url }) => url.pathname)).toEqual([
      "/write",
      "/chat",
    ]);
    const body = JSON.stringify({ model: "small", streamId });
    expect(requests[0]).toMatchObject({ body });
    expect(requests[0]?.headers.get("Content-Type")).toBe("application/json");
    for (const { headers } of requests) {
      expect(headers.get("Authorization")).toBe("Bearer x");
    }
  });

  test("once, if two readers do", async () => {
    const { read, writes } = await setUpReading();
    for (const { end } of [read({ drive }), read({ drive })]) {
      expect(await end()).toBe(text);
    }
    expect(writes).toHaveLength(1);
  });

  test("though a page of another origin may not see the answer", async () => {
    const { serve, read, writes } = await setUpReading();
    network(async (to, init) => {
      const response = await serve(to, init);
      if (init.method === "POST") throw new TypeError("Failed to fetch");
      return response;
    });
    expect(await read({ drive }).end()).toBe(text);
    expect(writes).toHaveLength(1);
  });

  test("and notices within 15 s that the connection is dead", async () => {
    const { read, respond, get } = await setUpReading();
    network(
      (to, init) =>
        init.method === "POST"
          ? respond((append) => append(text))
          : get(to, init),
      first({ deadAfter: 20 }),
    );
    const { seen } = read({ drive });
    await pass(15_000);
    expect(seen.text).toBe(text);
  });
});

describe("ends", () => {
  test.each([
    [404, "There is no stream", false],
    [401, "Who are you?", false],
    [403, "Not yours.", false],
    [403, "Not yours to write.", true],
  ])("with an error that says why at %d", async (status, error, drive) => {
    const { read, requests } = await setUpReading(() => ({ status, error }));
    const reading = expect(read({ drive }).end()).rejects;
    await reading.toThrow(ReadStreamError);
    await reading.toMatchObject({
      status,
      message: expect.stringContaining(error) as string,
    });
    expect(requests).toHaveLength(1);
  });

  test.each([
    ["<!doctype html>", 200, false, "without the headers Stream-Offset"],
    ["<!doctype html>", 200, true, "without the headers Stream-Offset"],
    [null, 205, false, "it writes streams"],
  ])(
    "with an error where the URL is another's: %j, %i, drives: %s",
    async (body, status, drive, message) => {
      const { read } = await setUpReading();
      network(() => Promise.resolve(new Response(body, { status })));
      const reading = expect(read({ drive }).end()).rejects;
      await reading.toThrow(ReadStreamError);
      await reading.toThrow(message);
    },
  );

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
    const { signal, abort } = stoppable();
    const { end } = read({ signal });
    await pass(2000);
    const reason = new Error("That is enough.");
    abort(reason);
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
      const { signal, abort } = stoppable();
      Object.defineProperty(signal, "reason", { value: undefined });
      const { whole } = read({ signal, ...options });
      await pass(500);
      abort();
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
    await settled(
      (async () => {
        for await (const piece of stream) {
          received += piece;
          if (received.length > 100) break;
        }
        await pass(3000);
        for await (const piece of stream) received += piece;
      })(),
    );
    await settled(writing);
    expect(received).toBe(text);
    for await (const piece of stream) received += piece;
    expect(received).toBe(text);
  });

  test.each(["readStream", "readLines"] as const)(
    "when %s is left while it waits, without another request",
    async (name) => {
      const { streamId, requests } = await setUpReading();
      const stream = readStream(url, { streamId });
      const reading =
        name === "readStream"
          ? stream[Symbol.asyncIterator]()
          : readLines(stream);
      const waiting = reading.next();
      await pass(1000);
      const left = settled(reading.return());
      expect(await settled(waiting)).toEqual({ done: true, value: undefined });
      await left;
      await pass(60_000);
      expect(requests).toHaveLength(1);
      expect(vi.getTimerCount()).toBe(0);
    },
  );
});

describe("a page that cannot see every header", () => {
  /** A response as a page of another origin sees it, if the app exposes these headers. */
  const seenAs = (response: Response, names: string[]) => {
    const headers = new Headers();
    for (const name of names) {
      headers.set(name, response.headers.get(name) ?? "");
    }
    return new Response(response.body, { status: response.status, headers });
  };
  const three = ["Stream-Offset", "Stream-Next-Offset", "Stream-Status"];

  test("ends at the 204 where Stream-Closed is hidden", async () => {
    const { serve, write, read } = await setUpReading();
    await write(text);
    const { requests } = network(async (to, init) =>
      seenAs(await serve(to, init), three),
    );
    const { stream, end } = read();
    expect(await end()).toBe(text);
    expect(stream.status).toBe("done");
    expect(requests).toHaveLength(2);
  });

  test.each(three)("is told that it needs %s", async (hidden) => {
    const { serve, read } = await setUpReading();
    const names = three.filter((name) => name !== hidden);
    network(async (to, init) => seenAs(await serve(to, init), names));
    await expect(read().end()).rejects.toThrow(hidden);
  });
});

describe("where responses do not arrive in pieces", () => {
  /** A network that holds back a response, its head too, until it is complete. */
  const heldBack = async (response: Promise<Response>, init?: RequestInit) => {
    const { status, headers, body } = await response;
    if (body === null) return new Response(null, { status, headers });
    const text = await new Promise<string>((resolve, reject) => {
      init?.signal?.addEventListener("abort", () => reject(new Error("Gone.")));
      new Response(body).text().then(resolve, reject);
    });
    return new Response(text, { status, headers });
  };
  /** React Native's `fetch`, whose responses also have no body. */
  const bodiless = async (response: Promise<Response>, init?: RequestInit) => {
    const whole = await heldBack(response, init);
    return Object.defineProperty(whole, "body", { value: null });
  };

  test.each([
    ["held back", false, heldBack],
    ["held back", true, heldBack],
    ["without a body", false, bodiless],
    ["without a body", true, bodiless],
  ] as const)(
    "but %s, the text arrives by long-polls (drives: %s)",
    async (_, drive, way) => {
      const { serve, read, generate } = await setUpReading();
      const { requests } = network((to, init) => way(serve(to, init), init));
      const { stream, seen, end } = read({ drive });
      if (!drive) void generate(slowly);
      await pass(5000);
      expect(seen.text.length).toBeGreaterThan(50);
      expect(await end()).toBe(text);
      expect(stream.status).toBe("done");
      expect(warned).toHaveBeenCalledOnce();
      const polls = requests.filter(({ url }) => url.search.includes("live="));
      expect(polls.length).toBeGreaterThan(5);
      await pass(60_000);
      // The deployment's own: the planned check.
      expect(vi.getTimerCount()).toBe(1);
    },
  );

  test("a U+FEFF at the beginning is kept", async () => {
    const { serve, write, read } = await setUpReading();
    await write("\uFEFFA text.");
    network((to, init) => bodiless(serve(to, init), init));
    expect(await read().end()).toBe("\uFEFFA text.");
  });

  test("a long-poll that loses its last character is not taken for one that lost a U+FEFF", async () => {
    const { serve, write, read } = await setUpReading();
    await write("A text.");
    let polls = 0;
    network(async (to, init) => {
      const response = await bodiless(serve(to, init), init);
      if (!to.includes("live=") || polls++ > 0) return response;
      const text = (await response.text()).slice(0, -1);
      return Object.assign(response, { text: () => Promise.resolve(text) });
    });
    expect(await read().end()).toBe("A text.");
  });

  test("a response that only takes its time is not given up", async () => {
    const { get, respond, read } = await setUpReading();
    const { requests } = network((to, init) =>
      init.method === "POST"
        ? respond(async (append) => {
            await sleep(90_000);
            await slowly(append);
          })
        : get(to, init),
    );
    expect(await read({ drive: true }).end()).toBe(text);
    expect(warned).not.toHaveBeenCalled();
    expect(requests.length).toBeLessThan(8);
  });
});

describe("leaves nothing behind", () => {
  /** A signal that counts its listeners. */
  function countedSignal() {
    const { signal, abort } = stoppable();
    let listeners = 0;
    const add = signal.addEventListener.bind(signal);
    const remove = signal.removeEventListener.bind(signal);
    signal.addEventListener = (...args: Parameters<typeof add>) => {
      listeners++;
      add(...args);
    };
    signal.removeEventListener = (...args: Parameters<typeof remove>) => {
      listeners--;
      remove(...args);
    };
    return { signal, abort, listeners: () => listeners };
  }

  test("of a reading that never began", async () => {
    const { signal, listeners } = countedSignal();
    const stream = readStream(url, { streamId: "id", signal });
    stream[Symbol.asyncIterator]();
    expect(listeners()).toBe(0);
    await stream.return();
  });

  test("of 10 minutes of a dead server, with headers from a function", async () => {
    const { read, requests } = await setUpReading(() => "lost");
    const { signal, abort, listeners } = countedSignal();
    let most = 0;
    const headers = () => {
      most = Math.max(most, listeners());
      return Promise.resolve({});
    };
    const { end } = read({ signal, headers });
    await pass(10 * 60_000);
    expect(requests.length).toBeGreaterThan(30);
    expect(most).toBe(1);
    abort();
    await expect(end()).rejects.toThrow();
    expect(listeners()).toBe(0);
    expect(vi.getTimerCount()).toBe(0);
  });

  test("of a response that is left: its body is cancelled", async () => {
    const cancel = vi.fn();
    const body = new ReadableStream<Uint8Array>({
      start: (controller) => controller.enqueue(new TextEncoder().encode("So")),
      cancel,
    });
    const headers = {
      "Stream-Offset": "0",
      "Stream-Next-Offset": "0",
      "Stream-Status": "streaming",
    };
    const fetch = () => Promise.resolve(new Response(body, { headers }));
    for await (const piece of readStream(url, { streamId: "id", fetch })) {
      expect(piece).toBe("So");
      break;
    }
    expect(cancel).toHaveBeenCalledOnce();
  });
});

test("a platform without TextDecoder is told so", async () => {
  const { write, read } = await setUpReading();
  await write(text);
  vi.stubGlobal("TextDecoder", undefined);
  await expect(read().end()).rejects.toThrow("no TextDecoder");
});

describe("the URL", () => {
  test.each([
    [
      "of the page, with its parameters",
      "https://app.test/r?a=b&offset=7",
      { from: 5 },
      "https://app.test/r?a=b&offset=0000000000000005&streamId=id",
    ],
    [
      "with a tail",
      "https://app.test/read",
      { tail: 9 },
      "https://app.test/read?streamId=id&tail=9",
    ],
  ])("%s", async (_, to, options, asked) => {
    const { requests } = await setUpReading(() => ({ status: 404 }));
    const reading = readStream(new URL(to), { streamId: "id", ...options });
    await expect(settled(reading.next())).rejects.toThrow("404");
    expect(requests[0]?.url.href).toBe(asked);
  });

  test("may be React Native's, which adds a slash and has no parameters", async () => {
    const { URL } = globalThis;
    vi.stubGlobal(
      "URL",
      class {
        constructor(readonly href: string) {
          this.href = href.endsWith("/") ? href : `${href}/`;
        }
        toString = () => this.href;
        get searchParams() {
          throw new Error("URL.searchParams is not implemented");
        }
      },
    );
    const given = new globalThis.URL("https://app.test/read");
    const fetch = vi.fn((_: string) => {
      vi.stubGlobal("URL", URL);
      return Promise.resolve(new Response(null, { status: 404 }));
    });
    const reading = readStream(given, { streamId: "id", fetch });
    await expect(settled(reading.next())).rejects.toThrow("404");
    expect(fetch.mock.calls[0]?.[0]).toBe(
      "https://app.test/read?streamId=id&offset=0000000000000000",
    );
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
    const { write, read, requests } = await setUpReading(
      first({ cutAfter: 5 }),
    );
    await write(text);
    const headers = () =>
      Promise.resolve({ Authorization: `Bearer ${++token}` });
    await read({ headers }).end();
    expect(requests.map(({ headers }) => headers.get("Authorization"))).toEqual(
      ["Bearer 1", "Bearer 2"],
    );
  });

  test.each([
    [{ streamId: "" }, "needs the id of a stream"],
    [{ streamId: undefined }, "needs the id of a stream"],
    [{ streamId: "id", from: -1 }, "from must be an offset"],
    [{ streamId: "id", from: NaN }, "from must be an offset"],
  ])("is not made with %j", (options, message) => {
    expect(() => readStream(url, options as ReadStreamOptions)).toThrow(
      message,
    );
  });
});
