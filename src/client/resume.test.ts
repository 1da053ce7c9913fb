import { ConvexError } from "convex/values";
import { afterEach, describe, expect, test, vi } from "vitest";
import type { StreamId } from "./index.js";
import {
  deferred,
  pass,
  settled,
  until,
  useClock,
} from "../../test/support/clock.js";
import {
  errorsLogged,
  readBody,
  setUp,
  textOf,
  writes,
  type ActionCtx,
} from "../../test/support/setup.js";

useClock();
afterEach(() => vi.restoreAllMocks());

const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

type Growing = Awaited<ReturnType<typeof growingStream>>;

/** A stream that is being written, a sentence every so many ms, until `stop()`. */
async function growingStream(every = 200) {
  const app = setUp();
  const streamId = await app.create();
  const stop = deferred();
  let stopped = false;
  void stop.promise.then(() => (stopped = true));
  let text = "";
  const generating = app.generate(streamId, async (append) => {
    for (let i = 0; !stopped; i++) {
      const sentence = `${i} 😀. `;
      await append(sentence);
      text += sentence;
      await sleep(every);
    }
  });
  return { ...app, streamId, generating, stop: stop.resolve, text: () => text };
}

test("follows a text that is being written, to its end", async () => {
  const { streamId, resume, stop, text } = await growingStream();
  await pass(1000);
  const early = readBody(await resume(streamId));
  await pass(1000);
  const from = early.seen.text.length;
  const late = readBody(await resume(streamId, from));
  await pass(3000);
  expect(early.seen.text.length).toBeGreaterThan(from);
  expect(early.seen.closed).toBe(false);
  stop();
  expect(await settled(early.whole)).toBe(text());
  expect(await settled(late.whole)).toBe(text().slice(from));
});

test("waits for a stream that has not been started", async () => {
  const { create, resume, respond } = setUp();
  const streamId = await create();
  const { seen, whole } = readBody(await resume(streamId));
  await pass(10_000);
  expect(seen).toEqual({ text: "", closed: false });
  await respond(streamId, writes("At last."));
  expect(await settled(whole)).toBe("At last.");
});

/** Resumes a stream; `onRead` is called before each read of the database. */
const resumeWith = (
  { act, streaming, streamId }: Growing,
  onRead: () => void,
  init?: RequestInit,
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

describe("ends", () => {
  test("at an abort, with the last words that the writer saves when it learns of it", async () => {
    const { create, generate, resume, abort } = setUp();
    const streamId = await create();
    const generating = generate(streamId, async (append, signal) => {
      await append("One. ");
      await sleep(1000);
      await append("And half");
      await new Promise<void>((resolve) =>
        signal.addEventListener("abort", () => resolve()),
      );
    });
    const { seen } = readBody(await resume(streamId));
    await pass(1100);
    await abort(streamId);
    await until(() => seen.closed);
    expect(seen.text).toBe("One. And half");
    await settled(generating);
  });

  test("at a deletion", async () => {
    const { streamId, resume, remove } = await growingStream();
    const { seen } = readBody(await resume(streamId));
    await pass(1000);
    await remove(streamId);
    await until(() => seen.closed);
  });

  test("when the client has left, and the writer continues", async () => {
    const app = await growingStream();
    const signal = AbortSignal.abort();
    const late = readBody(await resumeWith(app, () => {}, { signal }));
    await until(() => late.seen.closed);
    const client = new AbortController();
    let reads = 0;
    const response = await resumeWith(app, () => reads++, {
      signal: client.signal,
    });
    const { seen } = readBody(response);
    await pass(2000);
    const readsBefore = reads;
    client.abort();
    await until(() => seen.closed);
    await pass(10_000);
    expect(reads).toBe(readsBefore);
    app.stop();
    await settled(app.generating);
    expect((await app.body(app.streamId)).text).toBe(app.text());
  });

  test("when the database cannot be read, with the error logged, but not if that is for a moment", async () => {
    const app = await growingStream();
    const logged = errorsLogged();
    const failing = (fails: (read: number) => boolean) => {
      let reads = 0;
      return () => {
        if (fails(reads++)) throw new Error("The database is away.");
      };
    };
    const often = failing((read) => read % 2 === 1);
    const { whole } = readBody(await resumeWith(app, often));
    const always = failing((read) => read > 2);
    const { seen } = readBody(await resumeWith(app, always));
    await until(() => seen.closed);
    expect(logged).toHaveBeenCalledOnce();
    app.stop();
    expect(await settled(whole)).toBe(app.text());
  });
});

describe("the offset", () => {
  const text = "Some 😀 text.";
  const written = async () => {
    const app = setUp();
    const streamId = await app.create();
    await textOf(await app.respond(streamId, writes(text)));
    const url = `https://app.test/resume?streamId=${streamId}`;
    return { ...app, streamId, url };
  };

  test.each([
    ["", text],
    ["&offset=-1", text],
    ["&offset=0", text],
    ["&offset=8", "text."],
    ["&offset=0000000000000008", "text."],
    // In the middle of a character: it comes whole.
    ["&offset=6", "😀 text."],
  ])("in the URL as %j", async (query, rest) => {
    const { url, get } = await written();
    expect(await textOf(await get(url + query))).toBe(rest);
  });

  test.each([
    "&offset=",
    "&offset=1.5",
    "&offset=-2",
    "&offset=1e3",
    "&offset=0x10",
    "&offset=x",
    "&offset=%00",
    "&offset=٣",
    "&offset=9007199254740992",
    `&offset=${"1".repeat(5000)}`,
    "&offset=1&offset=2",
  ])(
    "that is none, in the URL as %j, is a 400 that says what one is",
    async (query) => {
      const { url, get } = await written();
      const response = await get(url + query);
      expect(response.status).toBe(400);
      const { error } = (await response.json()) as { error: string };
      expect(error).toContain("a whole number of 0 or more");
      expect(error.length).toBeLessThan(400);
    },
  );

  test("given by the app goes before the one in the URL", async () => {
    const { streamId, act, streaming, url } = await written();
    const response = await act((ctx) =>
      streaming.resume(ctx, new Request(`${url}&offset=8`), streamId, {
        from: 0,
      }),
    );
    expect(await textOf(response)).toBe(text);
  });
});

describe("the headers", () => {
  const streamHeaders = ({ status, headers }: Response) => [
    status,
    Number(headers.get("Stream-Offset")),
    Number(headers.get("Stream-Next-Offset")),
    headers.get("Stream-Closed"),
    headers.get("Stream-Status"),
  ];

  test("of a stream that has not been started", async () => {
    const { create, resume, remove } = setUp();
    const streamId = await create();
    const response = await resume(streamId);
    expect(streamHeaders(response)).toEqual([200, 0, 0, null, "pending"]);
    await remove(streamId);
    await textOf(response);
  });

  test("of a live stream: where it starts, and how much is a replay", async () => {
    const { streamId, resume, stop, body } = await growingStream();
    await pass(1000);
    const saved = (await body(streamId)).text.length;
    const response = await resume(streamId, 3);
    // Between the two halves of a character: it comes whole, from 2 on.
    expect(streamHeaders(response)).toEqual([200, 2, saved, null, "streaming"]);
    stop();
    await textOf(response);
  });

  test("of a stream that has ended: that this is all, and at its end a 204", async () => {
    const { create, respond, resume, abort } = setUp();
    const streamId = await create();
    await textOf(await respond(streamId, writes("All.")));
    const response = await resume(streamId, 1);
    expect(streamHeaders(response)).toEqual([200, 1, 4, "true", "done"]);
    expect(response.headers.get("Stream-Offset")).toBe("0000000000000001");
    const none = await create();
    await abort(none);
    const empty = await resume(none);
    expect(empty.body).toBeNull();
    expect(streamHeaders(empty)).toEqual([204, 0, 0, "true", "aborted"]);
  });

  test("of a stream that failed: why, in at most 4,096 characters", async () => {
    const { create, generate, resume } = setUp();
    const streamId = await create();
    const message = "中".repeat(1000);
    const failing = generate(streamId, () => {
      throw new ConvexError({ message });
    });
    await expect(settled(failing)).rejects.toThrow();
    const header = (await resume(streamId)).headers.get("Stream-Error") ?? "";
    expect(header.length).toBeLessThanOrEqual(4096);
    const error = JSON.parse(decodeURIComponent(header)) as unknown;
    expect(error).toEqual({
      kind: "WriterFailed",
      message: message.slice(0, 400),
    });
  });

  test("of text beyond one page of 4 MiB: not that this is all", async () => {
    const { create, generate, resume } = setUp();
    const streamId = await create();
    const text = "中".repeat(2_500_000);
    await settled(generate(streamId, (append) => append(text)));
    const response = await resume(streamId);
    expect(streamHeaders(response).slice(3)).toEqual([null, "streaming"]);
    expect((await textOf(response)) === text).toBe(true);
  });
});

describe("live=long-poll", () => {
  const url = (streamId: string, query = "") =>
    `https://app.test/resume?streamId=${streamId}&live=long-poll${query}`;
  const seenIn = async (response: Response) => ({
    code: response.status,
    text: await response.text(),
    status: response.headers.get("Stream-Status"),
    closed: response.headers.get("Stream-Closed"),
    next: Number(response.headers.get("Stream-Next-Offset")),
  });

  test("answers with the text after the offset, and then that this was all", async () => {
    const { create, respond, get } = setUp();
    const streamId = await create();
    await textOf(await respond(streamId, writes("All of it.")));
    expect(await seenIn(await get(url(streamId, "&offset=4")))).toEqual({
      code: 200,
      text: "of it.",
      status: "done",
      closed: "true",
      next: 10,
    });
    expect((await get(url(streamId, "&offset=10"))).status).toBe(204);
  });

  test("waits for text, and answers with the first there is", async () => {
    const { create, generate, get } = setUp();
    const streamId = await create();
    const asked = get(url(streamId));
    let answered = false;
    void asked.then(() => (answered = true));
    await pass(10_000);
    expect(answered).toBe(false);
    const writing = generate(streamId, async (append) => {
      await append("First. ");
      await sleep(60_000);
    });
    expect(await seenIn(await settled(asked))).toMatchObject({
      text: "First. ",
      status: "streaming",
      closed: null,
    });
    await settled(writing);
  });

  test("answers after 20 s that there is none", async () => {
    const { create, get } = setUp();
    const streamId = await create();
    const response = await settled(get(url(streamId)));
    expect(await seenIn(response)).toEqual({
      code: 200,
      text: "",
      status: "pending",
      closed: null,
      next: 0,
    });
  });

  test("is a 404 where the stream is deleted meanwhile", async () => {
    const { create, get, remove } = setUp();
    const streamId = await create();
    const asked = get(url(streamId));
    await pass(3000);
    await remove(streamId);
    expect((await settled(asked)).status).toBe(404);
  });
});

describe("tail", () => {
  test.each([
    ["&tail=5", "text."],
    ["&tail=0", ""],
    ["&tail=1000", "Some 😀 text."],
    // In the middle of a character: it comes whole.
    ["&tail=7", "😀 text."],
  ])("in the URL as %j", async (query, rest) => {
    const { create, generate, get } = setUp();
    const streamId = await create();
    await settled(generate(streamId, writes("Some 😀 text.")));
    const url = `https://app.test/resume?streamId=${streamId}${query}`;
    expect(await textOf(await get(url))).toBe(rest);
  });

  test("and then what follows", async () => {
    const { streamId, act, streaming, stop, text } = await growingStream();
    await pass(2000);
    const response = await act((ctx) =>
      streaming.resume(ctx, new Request("https://app.test/"), streamId, {
        tail: 3,
      }),
    );
    const { whole } = readBody(response);
    await pass(2000);
    stop();
    const start = Number(response.headers.get("Stream-Offset"));
    expect(start).toBeGreaterThan(3);
    expect(await settled(whole)).toBe(text().slice(start));
  });

  test.each([
    "&tail=",
    "&tail=-1",
    "&tail=x",
    "&tail=1&tail=2",
    "&tail=1&offset=0",
    "&live=sse",
  ])("that is none, or another way to wait, as %j, is a 400", async (query) => {
    const { create, get } = setUp();
    const url = `https://app.test/resume?streamId=${await create()}${query}`;
    expect((await get(url)).status).toBe(400);
  });
});

describe("follow", () => {
  const read = (
    { act, streaming }: ReturnType<typeof setUp>,
    streamId: StreamId,
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

  test("gives the text of a stream that is being written, to its end", async () => {
    const app = await growingStream();
    const reading = read(app, app.streamId);
    await pass(5000);
    app.stop();
    expect(await settled(reading)).toBe(app.text());
  });

  test("begins at an offset", async () => {
    const app = setUp();
    const streamId = await app.create();
    await settled(app.generate(streamId, writes("Some text.")));
    expect(await read(app, streamId, { from: 5 })).toBe("text.");
    expect(() =>
      app.streaming.follow({} as ActionCtx, streamId, { from: -1 }),
    ).toThrow(TypeError);
  });

  test("is an error for a stream that is not there, or is deleted meanwhile", async () => {
    const app = setUp();
    const streamId = await app.create();
    const reading = expect(settled(read(app, streamId))).rejects;
    await pass(1000);
    await app.remove(streamId);
    await reading.toThrow("There is no stream");
    await expect(read(app, streamId)).rejects.toThrow("There is no stream");
    await expect(read(app, undefined as unknown as StreamId)).rejects.toThrow(
      "There is no stream undefined",
    );
  });

  test("leaves nothing behind when it is left", async () => {
    const { act, streaming, streamId, stop, generating } =
      await growingStream();
    await act(async (ctx) => {
      const running = (async () => {
        for await (const text of streaming.follow(ctx, streamId)) {
          if (text !== "") break;
        }
      })();
      await settled(running);
    });
    stop();
    await settled(generating);
    await pass(1000);
    expect(vi.getTimerCount()).toBe(0);
  });
});

describe("what it costs", () => {
  /** Counts what a resumer reads while time (ms) goes by. */
  async function costOf(app: Growing, time: number) {
    const { t, act, streaming, streamId } = app;
    let reads = 0;
    let most = 0;
    const response = await act((ctx) =>
      streaming.resume(
        {
          runQuery: async (query, ...args) => {
            reads++;
            const metrics = await t.query(async (queryCtx) => {
              await queryCtx.runQuery(query, ...args);
              return queryCtx.meta.getTransactionMetrics();
            });
            most = Math.max(most, metrics.documentsRead.used);
            return ctx.runQuery(query, ...args);
          },
        },
        new Request("https://app.test/"),
        streamId,
        { from: 0 },
      ),
    );
    const { whole } = readBody(response);
    await pass(time);
    return { reads, most, whole };
  }

  test("four looks a second while text comes, of a few documents each", async () => {
    const app = await growingStream();
    const { reads, most, whole } = await costOf(app, 60_000);
    expect(reads).toBeGreaterThan(200);
    expect(reads).toBeLessThanOrEqual(241);
    expect(most).toBeLessThanOrEqual(4);
    app.stop();
    await settled(whole);
  });

  test("one look in two seconds in a long pause", async () => {
    const app = await growingStream();
    app.stop();
    await settled(app.generating);
    const streamId = await app.create();
    const { reads, whole } = await costOf({ ...app, streamId }, 60_000);
    expect(reads).toBeLessThan(40);
    await app.remove(streamId);
    await settled(whole);
  });
});

test("a response ends long before the action's limit, and the next one continues", async () => {
  const { streamId, resume, stop, text } = await growingStream(3000);
  const first = readBody(await resume(streamId));
  await pass(8 * 60_000);
  expect(first.seen.closed).toBe(false);
  await pass(2 * 60_000);
  expect(first.seen.closed).toBe(true);
  const rest = await resume(streamId, first.seen.text.length);
  stop();
  expect(first.seen.text + (await textOf(rest))).toBe(text());
});

test("an abandoned body is not followed", async () => {
  const app = await growingStream();
  const response = await app.resume(app.streamId);
  await pass(1000);
  await response.body?.cancel();
  app.stop();
  await settled(app.generating);
  // Nothing is left to wake up.
  await pass(1000);
  expect(vi.getTimerCount()).toBe(0);
});

test("HEAD gives the headers, and follows nothing", async () => {
  const { streamId, act, streaming, stop, generating } = await growingStream();
  const request = new Request("https://app.test/", { method: "HEAD" });
  const response = await act((ctx) => streaming.resume(ctx, request, streamId));
  expect(response.body).toBeNull();
  expect(response.headers.get("Stream-Offset")).toBe("0".repeat(16));
  stop();
  await settled(generating);
  await pass(1000);
  // The deployment's own: the planned check.
  expect(vi.getTimerCount()).toBe(1);
});
