import { ConvexError } from "convex/values";
import { afterEach, describe, expect, test, vi } from "vitest";
import type { StreamId } from "./index.js";
import { deferred, pass, settled, useClock } from "../../test/support/clock.js";
import {
  errorsLogged,
  fired,
  readBody,
  setUpStream,
  textOf,
  type ActionCtx,
} from "../../test/support/setup.js";
import { sleep } from "../time.js";

useClock();
afterEach(() => vi.restoreAllMocks());

type App = Awaited<ReturnType<typeof setUpStream>>;

/** A stream to which a sentence is added every so many ms, until `stop()`. */
async function growingStream(every = 200) {
  const app = await setUpStream();
  const stop = deferred();
  let stopped = false;
  void stop.promise.then(() => (stopped = true));
  let text = "";
  const generating = app.generate(async (append) => {
    for (let i = 0; !stopped; i++) {
      const sentence = `${i} 😀. `;
      await append(sentence);
      text += sentence;
      await sleep(every);
    }
  });
  return { ...app, generating, stop: stop.resolve, text: () => text };
}

/** Resumes the stream, and calls `onRead` before each read of the database. */
const resumeWith = (
  { act, streaming, streamId }: App,
  init: RequestInit,
  onRead = () => {},
) =>
  act((ctx) =>
    streaming.resume(
      {
        runQuery: (query, ...args) => {
          onRead();
          return ctx.runQuery(query, ...args);
        },
      },
      new Request("https://app.test/", init),
      streamId,
    ),
  );

/** All the text that `follow` gives. */
const followed = (
  { act, streaming, streamId }: App,
  options?: { from?: number },
) =>
  act(async (ctx) => {
    let all = "";
    for await (const text of streaming.follow(ctx, streamId, options)) {
      expect(text).not.toBe("");
      all += text;
    }
    return all;
  });

test("follows a text that is being written, from anywhere, to its end", async () => {
  const app = await growingStream();
  const { resume, get, stop, text } = app;
  const early = readBody(await resume());
  const inAction = followed(app);
  await pass(2000);
  const from = early.seen.text.length;
  const late = readBody(await resume(from));
  const inLateAction = followed(app, { from });
  const url = `https://app.test/?streamId=${app.streamId}&tail=3`;
  const response = await get(url);
  const start = Number(response.headers.get("Stream-Offset"));
  expect(start).toBeGreaterThan(3);
  const tail = readBody(response);
  await pass(3000);
  expect(early.seen.text.length).toBeGreaterThan(from);
  expect(early.seen.closed).toBe(false);
  stop();
  expect(await early.seen.end()).toBe(text());
  expect(await settled(inAction)).toBe(text());
  for (const rest of [late.seen.end(), settled(inLateAction)]) {
    expect(await rest).toBe(text().slice(from));
  }
  expect(await tail.seen.end()).toBe(text().slice(start));
});

describe("ends", () => {
  test("at an abort, with the last words that the writer then saves", async () => {
    const { generate, resume, abort } = await setUpStream();
    const generating = generate(async (append, signal) => {
      await append("One. ");
      await sleep(1000);
      await append("And half");
      await fired(signal);
    });
    const { seen } = readBody(await resume());
    await pass(1100);
    await abort();
    expect(await seen.end()).toBe("One. And half");
    await settled(generating);
  });

  test("soon after an abort, if the writer is dead; a long-poll then has the end", async () => {
    const app = await setUpStream();
    const { t, lib, streamId, resume, get } = app;
    await t.mutation(lib.claim, { streamId, writer: "dead" });
    await app.abort();
    const began = Date.now();
    await textOf(await resume());
    expect(Date.now() - began).toBeGreaterThan(5000);
    expect(Date.now() - began).toBeLessThan(8000);
    const url = `https://app.test/?streamId=${streamId}&live=long-poll`;
    const response = await settled(get(url));
    expect(response.status).toBe(200);
    expect(response.headers.get("Stream-Status")).toBe("aborted");
    expect(Date.now() - began).toBeLessThan(15_000);
  });

  test("when the client leaves, and the writer continues", async () => {
    const app = await growingStream();
    await textOf(await resumeWith(app, { signal: AbortSignal.abort() }));
    const client = new AbortController();
    const onRead = vi.fn();
    const { signal } = client;
    const { seen } = readBody(await resumeWith(app, { signal }, onRead));
    const cancelled = await resumeWith(app, {}, onRead);
    await pass(2000);
    const { length } = onRead.mock.calls;
    client.abort();
    await cancelled.body?.cancel();
    await seen.end();
    await pass(10_000);
    expect(onRead).toHaveBeenCalledTimes(length);
    app.stop();
    await settled(app.generating);
    expect((await app.body()).text).toBe(app.text());
  });

  test("when the database cannot be read, with the error logged, unless reads soon work again", async () => {
    const app = await growingStream();
    const logged = errorsLogged();
    const failing = (fails: (read: number) => boolean) => {
      let reads = 0;
      return resumeWith(app, {}, () => {
        if (fails(reads++)) throw new Error("The database is away.");
      });
    };
    const { seen } = readBody(await failing((read) => read % 2 === 1));
    await textOf(await failing((read) => read > 2));
    expect(logged).toHaveBeenCalledOnce();
    app.stop();
    expect(await seen.end()).toBe(app.text());
  });
});

/** What a response says of the stream. */
const answerOf = async (response: Response) => ({
  code: response.status,
  start: Number(response.headers.get("Stream-Offset")),
  next: Number(response.headers.get("Stream-Next-Offset")),
  closed: response.headers.get("Stream-Closed"),
  status: response.headers.get("Stream-Status"),
  text: response.body === null ? null : await textOf(response),
});

describe("the position", () => {
  const text = "Some 😀 text.";
  const written = async () => {
    const app = await setUpStream();
    await app.write(text);
    const url = `https://app.test/resume?streamId=${app.streamId}`;
    return { ...app, url };
  };

  test.each([
    ["", 0],
    ["&offset=-1", 0],
    ["&offset=0", 0],
    ["&offset=8", 8],
    ["&offset=0000000000000008", 8],
    // Within a character: it comes whole.
    ["&offset=6", 5],
    ["&offset=13", 13],
    ["&tail=5", 8],
    ["&tail=0", 13],
    ["&tail=1000", 0],
    ["&tail=7", 5],
    ["&live=long-poll&offset=8", 8],
    ["&live=long-poll&offset=13", 13],
  ])("in the URL as %j: from %d on", async (query, start) => {
    const { url, get } = await written();
    const response = await get(url + query);
    expect(response.headers.get("Stream-Offset")).toHaveLength(16);
    const rest = { start, next: 13, closed: "true", status: "done" };
    expect(await answerOf(response)).toEqual(
      start === 13
        ? { code: 204, text: null, ...rest }
        : { code: 200, text: text.slice(start), ...rest },
    );
  });

  const invalid = `offset= offset=1.5 offset=-2 offset=1e3 offset=0x10 offset=x offset=%00 offset=٣ \
offset=9007199254740992 offset=${"1".repeat(5000)} offset=1&offset=2 tail= tail=-1 tail=x \
tail=1&tail=2 tail=1&offset=0 live=sse`;
  test.each(invalid.split(" "))(
    "in the URL as %s is a 400 that says what is valid",
    async (query) => {
      const { url, get } = await written();
      const response = await get(`${url}&${query}`);
      expect(response.status).toBe(400);
      const { error } = (await response.json()) as { error: string };
      expect(error).toMatch(
        query === "live=sse" ? /"long-poll"/ : /a whole number of 0 or more/,
      );
      expect(error.length).toBeLessThan(400);
      expect(error).not.toContain("undefined");
    },
  );

  test("given by the app overrides the URL", async () => {
    const { streamId, act, streaming, url } = await written();
    const asked = (range: { from?: number; tail?: number }) =>
      act((ctx) =>
        streaming.resume(
          ctx,
          new Request(`${url}&offset=8&tail=3`),
          streamId,
          range,
        ),
      );
    expect(await textOf(await asked({ from: 0 }))).toBe(text);
    expect(await textOf(await asked({ tail: 1 }))).toBe(".");
    expect((await asked({ from: 0, tail: 1 })).status).toBe(400);
    expect(await (await asked({ tail: -1 })).text()).toContain("has -1.");
  });
});

describe("the headers", () => {
  test("of a live stream: where it starts, and how much of it is saved", async () => {
    const { resume, stop, body } = await growingStream();
    await pass(1000);
    const next = (await body()).text.length;
    const response = await resume(3);
    stop();
    // Between the two halves of a character: it comes whole, from 2 on.
    const saved = { code: 200, start: 2, next, closed: null };
    expect(await answerOf(response)).toMatchObject(saved);
  });

  test.each([
    ["", "Too busy.", "Too busy."],
    [", in at most 4,096 characters", "中".repeat(1000), "中".repeat(400)],
  ])("of a stream that failed: why%s", async (_, message, shown) => {
    const { generate, resume } = await setUpStream();
    const failing = generate(() => {
      throw new ConvexError({ message });
    });
    await expect(settled(failing)).rejects.toThrow();
    const header = (await resume()).headers.get("Stream-Error") ?? "";
    expect(header.length).toBeLessThanOrEqual(4096);
    const data = shown === message ? { data: { message } } : {};
    const error = { kind: "WriterFailed", message: shown, ...data };
    expect(JSON.parse(decodeURIComponent(header))).toEqual(error);
  });

  test.each(["", "&live=long-poll"])(
    "for HEAD, and nothing is waited for: %j",
    async (query) => {
      const { get, streamId } = await setUpStream();
      const url = `https://app.test/?streamId=${streamId}${query}`;
      const response = await get(url, { method: "HEAD" });
      expect(response.body).toBeNull();
      expect(response.headers.get("Stream-Offset")).toBe("0".repeat(16));
      // The deployment's own: the planned check.
      expect(vi.getTimerCount()).toBe(1);
    },
  );
});

test("more text than one page of 4 MiB is not called complete", async () => {
  const { write, resume } = await setUpStream();
  const text = "中".repeat(2_500_000);
  await write(text);
  const response = await resume();
  expect(response.headers.get("Stream-Closed")).toBeNull();
  expect(response.headers.get("Stream-Status")).toBe("streaming");
  // Nothing is waited for: the clock stands still.
  expect((await readBody(response).whole) === text).toBe(true);
});

describe("live=long-poll", () => {
  const poll = async ({ get, streamId }: App) =>
    answerOf(
      await get(`https://app.test/?streamId=${streamId}&live=long-poll`),
    );

  test("waits for text, and answers with the first there is", async () => {
    const app = await setUpStream();
    const asked = poll(app);
    const answered = vi.fn();
    void asked.then(answered);
    await pass(10_000);
    expect(answered).not.toHaveBeenCalled();
    const writing = app.generate(async (append) => {
      await append("First. ");
      await sleep(60_000);
      await append("Second.");
    });
    const first = { text: "First. ", status: "streaming", closed: null };
    expect(await settled(asked)).toMatchObject(first);
    await settled(writing);
  });

  test("answers after 20 s that there is none", async () => {
    const app = await setUpStream();
    const began = Date.now();
    const none = { code: 200, text: "", status: "pending", closed: null };
    expect(await settled(poll(app))).toEqual({ ...none, start: 0, next: 0 });
    expect(Date.now() - began).toBeGreaterThanOrEqual(20_000);
  });

  test("is a 404 where the stream is deleted meanwhile", async () => {
    const app = await setUpStream();
    const asked = poll(app);
    await pass(3000);
    await app.remove();
    expect((await settled(asked)).code).toBe(404);
    expect((await poll(app)).code).toBe(404);
  });
});

describe("follow", () => {
  test("throws at once if it cannot begin there", async () => {
    const { streaming, streamId } = await setUpStream();
    const ctx = {} as ActionCtx;
    expect(() => streaming.follow(ctx, streamId, { from: -1 })).toThrow(
      TypeError,
    );
  });

  test("throws if there is no stream, or it is deleted meanwhile", async () => {
    const app = await setUpStream();
    const reading = expect(settled(followed(app))).rejects;
    await pass(1000);
    await app.remove();
    const missing = { data: { kind: "StreamNotFound" } };
    await reading.toMatchObject(missing);
    await expect(followed(app)).rejects.toMatchObject(missing);
    const streamId = undefined as unknown as StreamId;
    await expect(followed({ ...app, streamId })).rejects.toThrow(
      "There is no stream undefined",
    );
  });
});

test.each([
  { text: "growing", set: growingStream, reads: [200, 241], documents: 4 },
  { text: "silent", set: setUpStream, reads: [20, 40], documents: 1 },
])(
  "a minute of a $text text costs $reads reads, of at most $documents documents each, until it is deleted",
  async ({ set, reads: [least, most], documents }) => {
    const app = await set();
    const { act, streaming, streamId, metered } = app;
    const cost = { queries: 0, mutations: 0, documents: 0 };
    const response = await act((ctx) =>
      streaming.resume(
        metered(ctx, cost),
        new Request("https://app.test/"),
        streamId,
      ),
    );
    const { seen } = readBody(response);
    await pass(60_000);
    expect(cost.queries).toBeGreaterThan(least!);
    expect(cost.queries).toBeLessThanOrEqual(most!);
    expect(cost.documents).toBeLessThanOrEqual(documents);
    await app.remove();
    await seen.end();
  },
);

test("a response ends long before the action's limit, and the next one continues", async () => {
  const { resume, stop, text } = await growingStream(3000);
  const first = readBody(await resume());
  await pass(8 * 60_000);
  expect(first.seen.closed).toBe(false);
  await pass(2 * 60_000);
  expect(first.seen.closed).toBe(true);
  const rest = await resume(first.seen.text.length);
  stop();
  expect(first.seen.text + (await textOf(rest))).toBe(text());
});
