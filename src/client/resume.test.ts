import { afterEach, describe, expect, test, vi } from "vitest";
import { deferred, pass, settled, until, useClock } from "../testing/clock.js";
import {
  errorsLogged,
  readBody,
  setUp,
  textOf,
  writes,
} from "../testing/setup.js";
import { story } from "../testing/story.js";

useClock();
afterEach(() => vi.restoreAllMocks());

const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

/** A stream that is being written, a sentence every 200 ms, until `stop()`. */
async function growingStream() {
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
      await sleep(200);
    }
  });
  return { ...app, streamId, generating, stop: stop.resolve, text: () => text };
}

test("replays a text that is complete", async () => {
  const { create, respond, resume } = setUp();
  const streamId = await create();
  const text = story(80);
  await textOf(await respond(streamId, writes(text)));
  const response = await resume(streamId);
  expect(response.status).toBe(200);
  expect(response.headers.get("Content-Type")).toBe(
    "text/plain; charset=utf-8",
  );
  expect(await textOf(response)).toBe(text);
});

test("replays from an offset", async () => {
  const { create, respond, resume } = setUp();
  const streamId = await create();
  await textOf(await respond(streamId, writes("Some 😀 text.")));
  expect(await textOf(await resume(streamId, 8))).toBe("text.");
  expect(await textOf(await resume(streamId, 13))).toBe("");
  // In the middle of a character: it comes whole.
  expect(await textOf(await resume(streamId, 6))).toBe("😀 text.");
});

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

describe("ends", () => {
  test("when the stream is aborted", async () => {
    const { streamId, resume, abort, body } = await growingStream();
    const { seen } = readBody(await resume(streamId));
    await pass(1000);
    await abort(streamId);
    await until(() => seen.closed);
    // With the last words, which the writer saves when it learns of it.
    expect(seen.text).toBe((await body(streamId)).text);
  });

  test("when the stream is deleted", async () => {
    const { streamId, resume, remove } = await growingStream();
    const { seen } = readBody(await resume(streamId));
    await pass(1000);
    await remove(streamId);
    await until(() => seen.closed);
  });

  test("when the client has gone, and the writer goes on", async () => {
    const { streamId, act, streaming, body, stop, generating, text } =
      await growingStream();
    const client = new AbortController();
    let reads = 0;
    const response = await act((ctx) =>
      streaming.resume(
        {
          runQuery: (query, ...args) => {
            reads++;
            return ctx.runQuery(query, ...args);
          },
        },
        new Request("https://app.test/", { signal: client.signal }),
        streamId,
      ),
    );
    const { seen } = readBody(response);
    await pass(2000);
    client.abort();
    await until(() => seen.closed);
    const readsBefore = reads;
    await pass(10_000);
    expect(reads).toBe(readsBefore);
    stop();
    await settled(generating);
    expect((await body(streamId)).text).toBe(text());
  });

  test("not when the database cannot be read for a moment", async () => {
    const { streamId, act, streaming, stop, text } = await growingStream();
    let reads = 0;
    const response = await act((ctx) =>
      streaming.resume(
        {
          runQuery: (query, ...args) => {
            if (reads++ % 2 === 1) throw new Error("The database is away.");
            return ctx.runQuery(query, ...args);
          },
        },
        new Request("https://app.test/"),
        streamId,
      ),
    );
    const { whole } = readBody(response);
    await pass(3000);
    stop();
    expect(await settled(whole)).toBe(text());
  });

  test("when the database cannot be read, with the error logged", async () => {
    const { streamId, act, streaming } = await growingStream();
    const logged = errorsLogged();
    let reads = 0;
    const response = await act((ctx) =>
      streaming.resume(
        {
          runQuery: (query, ...args) => {
            if (reads++ > 2) throw new Error("The database is away.");
            return ctx.runQuery(query, ...args);
          },
        },
        new Request("https://app.test/"),
        streamId,
      ),
    );
    const { seen } = readBody(response);
    await until(() => seen.closed);
    expect(logged).toHaveBeenCalledOnce();
  });
});

test("text of more than one page of 4 MiB comes whole", async () => {
  const { create, generate, resume } = setUp();
  const streamId = await create();
  const text = "中".repeat(2_500_000);
  await settled(generate(streamId, (append) => append(text)));
  const received = await textOf(await resume(streamId));
  expect(received === text).toBe(true);
});

test.each([NaN, -1, 1.5])("from %d is an error that says why", async (from) => {
  const { create, resume } = setUp();
  const streamId = await create();
  await expect(resume(streamId, from)).rejects.toThrow(
    "from must be an offset into the text",
  );
});
