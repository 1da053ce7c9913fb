import fc from "fast-check";
import { afterEach, describe, expect, test, vi } from "vitest";
import * as arbitrary from "../../test/support/arbitraries.js";
import { pass, settled, useClock } from "../../test/support/clock.js";
import { network, type Trouble } from "../../test/support/network.js";
import { setUp, writes } from "../../test/support/setup.js";
import { story, tokens } from "../../test/support/story.js";
import { sleep } from "../time.js";
import {
  readLines,
  readStream,
  ReadStreamError,
  type ReadStreamOptions,
} from "./index.js";

useClock();
afterEach(() => {
  vi.restoreAllMocks();
  vi.unstubAllGlobals();
});

const url = "https://app.test/resume";

/** A stream, the server that resumes it, and who reads it there. */
async function setUpReading(troubles?: (index: number) => Trouble | undefined) {
  const app = setUp();
  const streamId = await app.create();
  const { requests } = network(app.get, troubles);
  const read = (options: Partial<ReadStreamOptions> = {}) => {
    const stream = readStream(url, { streamId, ...options });
    const pieces: string[] = [];
    const whole = (async () => {
      for await (const piece of stream) pieces.push(piece);
      return pieces.join("");
    })();
    whole.catch(() => {});
    return { stream, pieces, whole };
  };
  return { ...app, streamId, requests, read };
}

const text = story(40);
/** Writes the story in some 10 s. */
const slowly = async (append: (text: string) => Promise<void>) => {
  for (const token of tokens(text, 20)) {
    await append(token);
    await sleep(200);
  }
};

describe("reads the whole text", () => {
  test("of a stream that has ended, with one request", async () => {
    const { respond, read, streamId, requests } = await setUpReading();
    await settled(respond(streamId, writes(text)));
    await pass(1000);
    const { stream, whole } = read();
    expect(await settled(whole)).toBe(text);
    expect(stream).toMatchObject({ status: "done", offset: text.length });
    expect(requests.map(({ url }) => url.search)).toEqual([
      `?streamId=${streamId}&offset=0000000000000000`,
    ]);
  });

  test("of a stream that is being written", async () => {
    const { generate, read, streamId } = await setUpReading();
    const { stream, pieces, whole } = read();
    expect(stream.status).toBe("pending");
    void generate(streamId, slowly);
    await pass(5000);
    expect(stream.status).toBe("streaming");
    expect(stream.offset).toBe(pieces.join("").length);
    expect(stream.offset).toBeGreaterThan(100);
    expect(await settled(whole)).toBe(text);
    expect(stream.status).toBe("done");
  });

  test("from an offset on", async () => {
    const { respond, read, streamId } = await setUpReading();
    await settled(respond(streamId, writes(text)));
    const { whole } = read({ from: 100 });
    expect(await settled(whole)).toBe(text.slice(100));
  });

  test("of nothing, if the stream ended without text", async () => {
    const { abort, read, streamId } = await setUpReading();
    await abort(streamId);
    const { stream, whole } = read();
    expect(await settled(whole)).toBe("");
    expect(stream.status).toBe("aborted");
  });

  test("and reports how it ended, with the saved text", async () => {
    const { generate, read, streamId } = await setUpReading();
    const { stream, whole } = read();
    const generating = generate(streamId, async (append) => {
      await append("Half of it");
      throw new Error("The model broke down.");
    });
    await expect(settled(generating)).rejects.toThrow();
    expect(await settled(whole)).toBe("Half of it");
    expect(stream.status).toBe("error");
    expect(stream.error?.kind).toBe("WriterFailed");
  });

  test("and why, in the words of the writer", async () => {
    const { act, lib, read, streamId } = await setUpReading();
    const error = {
      kind: "WriterFailed" as const,
      message: "Zu müde 😴",
      data: { code: 7 },
    };
    await act(async (ctx) => {
      await ctx.runMutation(lib.claim, { streamId, writer: "w" });
      const save = { streamId, writer: "w", start: 0, text: "Half" };
      await ctx.runMutation(lib.append, { ...save, final: "error", error });
    });
    const { stream, whole } = read();
    await settled(whole);
    expect(stream.error).toEqual(error);
  });

  test("of more than one response holds", async () => {
    const { generate, read, streamId, requests } = await setUpReading();
    const long = "中文".repeat(4_000_000);
    await settled(generate(streamId, (append) => append(long)));
    const { whole } = read();
    expect((await settled(whole)) === long).toBe(true);
    expect(requests.length).toBeGreaterThan(1);
  });
});

describe("whatever happens to the connections", () => {
  const troubled: Record<string, Trouble> = {
    "the request is lost": "lost",
    "the server is down": { status: 503 },
    "it is too many": { status: 429 },
    "the connection breaks before there is text": { cutAfter: 0 },
    "the connection breaks": { cutAfter: 321 },
    "the body ends early": { endAfter: 321 },
    "the connection is dead and does not say so": { deadAfter: 321 },
  };
  test.each(Object.entries(troubled))(
    "every character arrives once: %s",
    async (_, trouble) => {
      const { generate, read, streamId, requests } = await setUpReading(
        (index) => (index % 2 === 0 ? trouble : undefined),
      );
      void generate(streamId, slowly);
      const { stream, whole } = read();
      expect(await settled(whole)).toBe(text);
      expect(stream.status).toBe("done");
      expect(requests.length).toBeGreaterThan(1);
    },
  );

  test.each(["45", new Date(45_000).toUTCString()])(
    "it is asked for again when the server says so: %s",
    async (retryAfter) => {
      vi.setSystemTime(0);
      const { respond, read, streamId, requests } = await setUpReading(
        (index) => (index === 0 ? { status: 503, retryAfter } : undefined),
      );
      await settled(respond(streamId, writes(text)));
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
    ["the silence of a connection", { deadAfter: 321 }],
  ])("a network that is back ends %s", async (_, trouble) => {
    const window = new EventTarget();
    vi.stubGlobal("window", window);
    const { generate, read, streamId, requests } = await setUpReading(
      (index) => (index === 0 ? trouble : undefined),
    );
    void generate(streamId, slowly);
    const { whole } = read();
    await pass(6000);
    expect(requests).toHaveLength(1);
    window.dispatchEvent(new Event("online"));
    await pass(100);
    expect(requests.length).toBeGreaterThan(1);
    expect(await settled(whole)).toBe(text);
  });

  test("cut at every byte", async () => {
    const short = "a😀中é\uFEFFb";
    const bytes = new TextEncoder().encode(short).length;
    for (let cutAfter = 0; cutAfter <= bytes; cutAfter++) {
      const { respond, read, streamId } = await setUpReading((index) =>
        index === 0 ? { cutAfter } : undefined,
      );
      await settled(respond(streamId, writes(short)));
      expect(await settled(read().whole)).toBe(short);
    }
  });

  const troubles = fc.oneof(
    fc.constant(undefined),
    fc.constant("lost" as const),
    fc.record({ status: fc.constantFrom(500, 429, 408) }),
    fc.record({ cutAfter: fc.nat(60) }),
    fc.record({ endAfter: fc.nat(60) }),
    fc.record({ deadAfter: fc.nat(60) }),
  );
  test("at random", async () => {
    vi.spyOn(console, "warn").mockImplementation(() => {});
    await fc.assert(
      fc.asyncProperty(
        arbitrary.tokens(60),
        fc.array(troubles, { maxLength: 12 }),
        fc.constantFrom(0, 30, 400),
        async (pieces, plan, wait) => {
          const { generate, read, streamId } = await setUpReading(
            (index) => plan[index],
          );
          const { stream, whole } = read();
          const writing = generate(streamId, async (append) => {
            for (const piece of pieces) {
              await append(piece);
              if (wait > 0) await sleep(wait);
            }
          });
          expect(await settled(whole)).toBe(pieces.join(""));
          expect(stream.status).toBe("done");
          await settled(writing);
          // A response that nobody reads any more is looked after no longer.
          await pass(10_000);
          expect(vi.getTimerCount()).toBe(0);
        },
      ),
      { seed: 1, numRuns: 100 },
    );
  });

  test("a long silence of the writer is no trouble", async () => {
    const { generate, read, streamId } = await setUpReading();
    const { stream, whole } = read();
    void generate(streamId, async (append) => {
      await append("Before. ");
      await sleep(20 * 60_000);
      await append("After.");
    });
    expect(await settled(whole)).toBe("Before. After.");
    expect(stream.status).toBe("done");
  });

  test("that it is lost again and again is said once", async () => {
    const warned = vi.spyOn(console, "warn").mockImplementation(() => {});
    const { respond, read, streamId } = await setUpReading((index) =>
      index < 6 ? "lost" : undefined,
    );
    await settled(respond(streamId, writes(text)));
    expect(await settled(read().whole)).toBe(text);
    expect(warned).toHaveBeenCalledOnce();
  });
});

describe("drives the stream", () => {
  const drive = "https://app.test/write";

  /** A stream that is written for whoever posts to `drive`, and read by them. */
  async function setUpDriving(
    troubles?: (index: number) => Trouble | undefined,
  ) {
    const app = setUp();
    const streamId = await app.create();
    let runs = 0;
    const { requests } = network((to, init) => {
      if (init.method !== "POST") return app.get(to, init);
      expect(JSON.parse(init.body as string)).toEqual({ streamId });
      return app.respond(streamId, (append) => {
        runs++;
        return slowly(append);
      });
    }, troubles);
    const read = () => {
      const stream = readStream(url, {
        streamId,
        drive,
        headers: { Authorization: "Bearer x" },
      });
      const whole = (async () => {
        let all = "";
        for await (const piece of stream) all += piece;
        return all;
      })();
      return { stream, whole };
    };
    const asked = () =>
      requests.map(({ url: { pathname } }) => pathname.slice(1));
    return { ...app, streamId, requests, asked, read, runs: () => runs };
  }

  test("and reads it as it is written", async () => {
    const { read, body, streamId, asked, requests } = await setUpDriving();
    const { stream, whole } = read();
    await pass(250);
    const saved = (await body(streamId)).text;
    expect(stream.offset).toBeGreaterThan(saved.length);
    expect(await settled(whole)).toBe(text);
    expect(stream.status).toBe("done");
    expect(asked()).toEqual(["write", "resume"]);
    expect(requests[0]?.headers.get("Content-Type")).toBe("application/json");
    for (const { headers } of requests) {
      expect(headers.get("Authorization")).toBe("Bearer x");
    }
  });

  test("once, if two do", async () => {
    const { read, runs } = await setUpDriving();
    const both = [read(), read()];
    for (const { whole } of both) expect(await settled(whole)).toBe(text);
    expect(runs()).toBe(1);
  });

  test.each<[string, Trouble]>([
    ["is lost", "lost"],
    ["finds the server down", { status: 503 }],
    ["is answered by a connection that breaks", { cutAfter: 77 }],
    ["is answered by a body that ends early", { endAfter: 77 }],
    ["is answered by a connection that dies in silence", { deadAfter: 77 }],
  ])("and reads on, where its request %s", async (_, trouble) => {
    const { read, runs, asked } = await setUpDriving((index) =>
      index === 0 ? trouble : undefined,
    );
    const { stream, whole } = read();
    expect(await settled(whole)).toBe(text);
    expect(stream.status).toBe("done");
    expect(runs()).toBe(1);
    expect(asked().at(-1)).toBe("resume");
  });

  test("not, if it may not: that is an error", async () => {
    const { read, asked } = await setUpDriving(() => ({ status: 403 }));
    await expect(settled(read().whole)).rejects.toMatchObject({ status: 403 });
    expect(asked()).toEqual(["write"]);
  });
});

describe("ends", () => {
  test.each([
    [404, "There is no stream"],
    [401, "Who are you?"],
    [403, "Somebody else's."],
  ])("with an error that says why at %d", async (status, error) => {
    const { read, requests } = await setUpReading(() => ({ status, error }));
    const reading = expect(settled(read().whole)).rejects;
    await reading.toThrow(ReadStreamError);
    await reading.toMatchObject({
      status,
      message: expect.stringContaining(error) as string,
    });
    expect(requests).toHaveLength(1);
  });

  test("with an error where the URL is not that of resume()", async () => {
    const { read, create } = await setUpReading();
    network(() => Promise.resolve(new Response("<!doctype html>")));
    const reading = read({ streamId: await create() });
    await expect(settled(reading.whole)).rejects.toThrow(
      "without the headers Stream-Offset",
    );
    network(() => Promise.resolve(new Response(null, { status: 205 })));
    await expect(
      settled(read({ streamId: await create() }).whole),
    ).rejects.toThrow("it writes streams");
  });

  test("when the stream is deleted, with an error", async () => {
    const { generate, read, remove, streamId } = await setUpReading();
    const writing = generate(streamId, slowly);
    const { whole } = read();
    await pass(2000);
    await remove(streamId);
    await expect(settled(whole)).rejects.toMatchObject({ status: 404 });
    await settled(writing);
  });

  test("when its signal fires, with the signal's reason, and stops asking", async () => {
    const { generate, read, streamId, requests } = await setUpReading();
    const writing = generate(streamId, slowly);
    const { signal, ...controller } = stoppable();
    const { whole } = read({ signal });
    await pass(2000);
    const reason = new Error("That is enough.");
    controller.abort(reason);
    await expect(settled(whole)).rejects.toBe(reason);
    expect(requests).toHaveLength(1);
    await settled(writing);
    await pass(5000);
    expect(vi.getTimerCount()).toBe(0);
  });

  test("at once when its signal has fired before", async () => {
    const { read, requests } = await setUpReading();
    const { whole } = read({ signal: AbortSignal.abort() });
    await expect(settled(whole)).rejects.toMatchObject({ name: "AbortError" });
    expect(requests).toHaveLength(0);
  });

  test("when its signal fires while it waits to try again", async () => {
    const { read } = await setUpReading(() => "lost");
    const { signal, abort } = stoppable();
    const { whole } = read({ signal });
    await pass(500);
    abort();
    await expect(whole).rejects.toMatchObject({ name: "AbortError" });
    // The deployment's own: the planned check.
    expect(vi.getTimerCount()).toBe(1);
  });

  test("when it is left, and continues from there when it is read again", async () => {
    const { generate, streamId } = await setUpReading();
    const writing = generate(streamId, slowly);
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
});

test("ends with a stream whose writer died, once it has been ended", async () => {
  const { act, abort, lib, streamId, read } = await setUpReading();
  await act(async (ctx) => {
    await ctx.runMutation(lib.claim, { streamId, writer: "dead" });
    const save = { streamId, writer: "dead", start: 0, text: "As far as " };
    await ctx.runMutation(lib.append, save);
  });
  await abort(streamId);
  const { stream, whole } = read();
  expect(await settled(whole)).toBe("As far as ");
  expect(stream.status).toBe("aborted");
});

describe("a page that may not see everything", () => {
  /** A response as the page of another origin has it, if the app exposes these headers. */
  const seenAs = (response: Response, names: string[]) => {
    const headers = new Headers();
    for (const name of names) {
      headers.set(name, response.headers.get(name) ?? "");
    }
    return new Response(response.body, { status: response.status, headers });
  };
  const three = ["Stream-Offset", "Stream-Next-Offset", "Stream-Status"];

  test("ends at the 204 where Stream-Closed is hidden", async () => {
    const { get, respond, read, streamId } = await setUpReading();
    await settled(respond(streamId, writes(text)));
    const { requests } = network(async (to, init) =>
      seenAs(await get(to, init), three),
    );
    const { stream, whole } = read();
    expect(await settled(whole)).toBe(text);
    expect(stream.status).toBe("done");
    expect(requests).toHaveLength(2);
  });

  test.each(three)("is told that it has to see %s", async (hidden) => {
    const { get, read } = await setUpReading();
    const names = three.filter((name) => name !== hidden);
    network(async (to, init) => seenAs(await get(to, init), names));
    await expect(settled(read().whole)).rejects.toThrow(hidden);
  });

  test("reads a stream that it drives, though it may not see the answer", async () => {
    vi.spyOn(console, "warn").mockImplementation(() => {});
    const { get, respond, streamId } = await setUpReading();
    let posts = 0;
    network(async (to, init) => {
      if (init.method !== "POST") return get(to, init);
      posts++;
      await respond(streamId, slowly);
      throw new TypeError("Failed to fetch");
    });
    const stream = readStream(url, { streamId, drive: "https://app.test/w" });
    let all = "";
    await settled(
      (async () => {
        for await (const piece of stream) all += piece;
      })(),
    );
    expect(all).toBe(text);
    expect(posts).toBe(1);
  });

  test("does not take another page for the text", async () => {
    const { get, streamId } = await setUpReading();
    network((to, init) =>
      init.method === "POST"
        ? Promise.resolve(new Response("<!doctype html>"))
        : get(to, init),
    );
    const stream = readStream(url, { streamId, drive: "https://app.test/w" });
    const reading = stream[Symbol.asyncIterator]().next();
    await expect(settled(reading)).rejects.toThrow(ReadStreamError);
  });

  test("reads a response that its platform cannot stream", async () => {
    const { get, respond, read, streamId } = await setUpReading();
    await settled(respond(streamId, writes(text)));
    vi.stubGlobal("fetch", async (to: URL) => {
      const response = await get(String(to));
      const { status, headers } = response;
      return { status, headers, text: () => response.text() };
    });
    expect(await settled(read().whole)).toBe(text);
  });
});

describe("where responses do not arrive in pieces", () => {
  /** A network that hands on a response when all of it has come, its head too. */
  const heldBack = async (response: Promise<Response>, init?: RequestInit) => {
    const { status, headers, body } = await response;
    if (body === null) return new Response(null, { status, headers });
    const text = await new Promise<string>((resolve, reject) => {
      init?.signal?.addEventListener("abort", () => reject(new Error("Gone.")));
      new Response(body).text().then(resolve, reject);
    });
    return new Response(text, { status, headers });
  };
  /** As React Native does: when all has come, and without a body. */
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
      const warned = vi.spyOn(console, "warn").mockImplementation(() => {});
      const { get, respond, generate, streamId } = await setUpReading();
      const { requests } = network((to, init) => {
        const answer =
          init.method === "POST" ? respond(streamId, slowly) : get(to, init);
        return way(answer, init);
      });
      const stream = readStream(url, { streamId, drive });
      if (!drive) void generate(streamId, slowly);
      let all = "";
      const whole = (async () => {
        for await (const piece of stream) all += piece;
      })();
      await pass(5000);
      expect(all.length).toBeGreaterThan(50);
      await settled(whole);
      expect(all).toBe(text);
      expect(stream.status).toBe("done");
      expect(warned).toHaveBeenCalledOnce();
      const polls = requests.filter(({ url }) => url.search.includes("live="));
      expect(polls.length).toBeGreaterThan(5);
      await pass(60_000);
      // The deployment's own: the planned check.
      expect(vi.getTimerCount()).toBe(1);
    },
  );

  test("a text that begins with U+FEFF is whole", async () => {
    vi.spyOn(console, "warn").mockImplementation(() => {});
    const { get, respond, streamId } = await setUpReading();
    await settled(respond(streamId, writes("\uFEFFA text.")));
    network((to, init) => bodiless(get(to, init), init));
    const stream = readStream(url, { streamId });
    let all = "";
    const whole = (async () => {
      for await (const piece of stream) all += piece;
    })();
    await settled(whole);
    expect(all).toBe("\uFEFFA text.");
  });

  test("a response that only takes its time is not given up", async () => {
    const warned = vi.spyOn(console, "warn").mockImplementation(() => {});
    const { respond, get, streamId } = await setUpReading();
    const { requests } = network((to, init) =>
      init.method === "POST"
        ? respond(streamId, async (append) => {
            await sleep(90_000);
            await slowly(append);
          })
        : get(to, init),
    );
    const stream = readStream(url, { streamId, drive: true });
    let all = "";
    const whole = (async () => {
      for await (const piece of stream) all += piece;
    })();
    await settled(whole);
    expect(all).toBe(text);
    expect(warned).not.toHaveBeenCalled();
    expect(requests.length).toBeLessThan(8);
  });
});

test("a driven connection that goes dead without a word is noticed within 15 s", async () => {
  const { get, respond, streamId } = await setUpReading();
  network(
    (to, init) =>
      init.method === "POST" ? respond(streamId, writes(text)) : get(to, init),
    (index) => (index === 0 ? { deadAfter: 20 } : undefined),
  );
  const stream = readStream(url, { streamId, drive: true });
  let all = "";
  void (async () => {
    for await (const piece of stream) all += piece;
  })();
  await pass(15_000);
  expect(all).toBe(text);
});

describe("leaves nothing behind", () => {
  /** A signal that counts who listens to it. */
  function countedSignal() {
    const controller = new AbortController();
    const { signal } = controller;
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
    return { signal, controller, listeners: () => listeners };
  }

  test("of a reading that never began", async () => {
    const { signal, listeners } = countedSignal();
    const { streamId } = await setUpReading();
    const stream = readStream(url, { streamId, signal });
    stream[Symbol.asyncIterator]();
    expect(listeners()).toBe(0);
    await stream.return();
  });

  test("of 10 minutes of a dead server, with headers from a function", async () => {
    vi.spyOn(console, "warn").mockImplementation(() => {});
    const { read, requests } = await setUpReading(() => "lost");
    const { signal, controller, listeners } = countedSignal();
    let most = 0;
    const headers = () => {
      most = Math.max(most, listeners());
      return Promise.resolve({});
    };
    const { whole } = read({ signal, headers });
    await pass(10 * 60_000);
    expect(requests.length).toBeGreaterThan(30);
    expect(most).toBe(1);
    controller.abort();
    await expect(settled(whole)).rejects.toThrow();
    expect(listeners()).toBe(0);
    expect(vi.getTimerCount()).toBe(0);
  });

  test("of a response that is left: its body is cancelled", async () => {
    const { streamId } = await setUpReading();
    let cancelled = 0;
    const body = new ReadableStream<Uint8Array>({
      start: (controller) => controller.enqueue(new TextEncoder().encode("So")),
      cancel: () => void cancelled++,
    });
    const headers = {
      "Stream-Offset": "0",
      "Stream-Next-Offset": "0",
      "Stream-Status": "streaming",
    };
    const fetch = () => Promise.resolve(new Response(body, { headers }));
    for await (const piece of readStream(url, { streamId, fetch })) {
      expect(piece).toBe("So");
      break;
    }
    expect(cancelled).toBe(1);
  });
});

test("an abort is not delayed by a fetch that ignores its signal, and has a reason", async () => {
  const { signal, abort } = stoppable();
  Object.defineProperty(signal, "reason", { value: undefined });
  const fetch = () => new Promise<Response>(() => {});
  const waiting = readStream(url, { streamId: "id", fetch, signal }).next();
  await pass(1000);
  abort();
  await expect(waiting).rejects.toMatchObject({ name: "AbortError" });
});

test("a platform without TextDecoder is told so", async () => {
  const { respond, read, streamId } = await setUpReading();
  await settled(respond(streamId, writes(text)));
  vi.stubGlobal("TextDecoder", undefined);
  await expect(settled(read().whole)).rejects.toThrow("no TextDecoder");
});

describe("the URL", () => {
  const asked = async (
    to: URL | string,
    options?: Partial<ReadStreamOptions>,
  ) => {
    const { requests } = await setUpReading(() => ({ status: 404 }));
    const reading = readStream(to, { streamId: "id", ...options }).next();
    await expect(settled(reading)).rejects.toThrow();
    return requests[0]?.url.href;
  };

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
    let asked: string | undefined;
    const given = new globalThis.URL("https://app.test/read");
    const reading = readStream(given, {
      streamId: "id",
      fetch: (to) => {
        vi.stubGlobal("URL", URL);
        asked = to;
        return Promise.resolve(new Response(null, { status: 404 }));
      },
    }).next();
    await expect(settled(reading)).rejects.toThrow("404");
    expect(asked).toBe(
      "https://app.test/read?streamId=id&offset=0000000000000000",
    );
  });

  test("asks for the end of the text with `tail`", async () => {
    expect(await asked("https://app.test/read", { tail: 9 })).toBe(
      "https://app.test/read?streamId=id&tail=9",
    );
    const { generate, read, streamId } = await setUpReading();
    await settled(generate(streamId, writes(text)));
    const { stream, whole } = read({ tail: 100 });
    expect(await settled(whole)).toBe(text.slice(-100));
    expect(stream.offset).toBe(text.length);
  });

  test("has to be absolute where there is no page", () => {
    expect(() => readStream("/read", { streamId: "id" })).toThrow(
      "an absolute URL",
    );
  });
});

test("the POST that drives may say more", async () => {
  const { streamId } = await setUpReading();
  const bodies: unknown[] = [];
  const fetch = (_: string, { body }: RequestInit) => {
    bodies.push(JSON.parse(body as string));
    return Promise.resolve(new Response("{}", { status: 403 }));
  };
  const body = { model: "small" };
  const options = { streamId, fetch, body, drive: true };
  await expect(readStream(url, options).next()).rejects.toThrow();
  expect(bodies).toEqual([{ model: "small", streamId }]);
});

describe("left while it waits", () => {
  test.each(["readStream", "readLines"] as const)(
    "%s makes no request any more",
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

  test("by its signal, also while it waits for its headers", async () => {
    const { read, requests } = await setUpReading();
    const { signal, abort } = stoppable();
    const { whole } = read({ signal, headers: () => new Promise(() => {}) });
    await pass(100);
    abort();
    await expect(settled(whole)).rejects.toMatchObject({ name: "AbortError" });
    expect(requests).toHaveLength(0);
  });
});

describe("the request", () => {
  test("is not made with a header that is none, and its value is not told", async () => {
    const { read, requests } = await setUpReading();
    const { whole } = read({ headers: { Authorization: "s3cret\nx" } });
    await expect(settled(whole)).rejects.toThrow(
      /^One of the headers for readStream\(\) is invalid(?!.*s3cret)/,
    );
    expect(requests).toHaveLength(0);
  });

  test("has the headers that a function gives each time", async () => {
    let token = 0;
    const { respond, read, streamId, requests } = await setUpReading((index) =>
      index === 0 ? { cutAfter: 5 } : undefined,
    );
    await settled(respond(streamId, writes(text)));
    const headers = () =>
      Promise.resolve({ Authorization: `Bearer ${++token}` });
    await settled(read({ headers }).whole);
    expect(requests.map(({ headers }) => headers.get("Authorization"))).toEqual(
      ["Bearer 1", "Bearer 2"],
    );
  });

  test("keeps what the URL has", async () => {
    const { requests } = await setUpReading(() => ({ status: 404 }));
    const stream = readStream(new URL("https://app.test/r?a=b&offset=7"), {
      streamId: "id",
      from: 5,
    });
    const reading = stream[Symbol.asyncIterator]().next();
    await expect(settled(reading)).rejects.toThrow();
    expect(requests[0]?.url.href).toBe(
      "https://app.test/r?a=b&offset=0000000000000005&streamId=id",
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

function stoppable() {
  const controller = new AbortController();
  return {
    signal: controller.signal,
    abort: (reason?: unknown) => controller.abort(reason),
  };
}
