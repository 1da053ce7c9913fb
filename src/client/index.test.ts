import { afterEach, describe, expect, test, vi } from "vitest";
import { pass, settled, useClock } from "../../test/support/clock.js";
import {
  neverRuns,
  readBody,
  setUp,
  setUpStream,
  textOf,
  writes,
} from "../../test/support/setup.js";
import { sleep } from "../time.js";
import { PersistentTextStreaming, type StreamId } from "./index.js";

useClock();
afterEach(() => vi.restoreAllMocks());

describe("stream", () => {
  test("passes ctx, request, id, append and signal to the writer, and answers with the text", async () => {
    const { streamId, act, streaming, body } = await setUpStream();
    const request = new Request("https://app.test/stream?prompt=Hi");
    const response = await act((ctx) =>
      streaming.stream(ctx, request, streamId, async (...args) => {
        const [writerCtx, writerRequest, id, append, signal] = args;
        expect(writerCtx).toBe(ctx);
        expect(writerRequest).toBe(request);
        expect(id).toBe(streamId);
        expect(signal).toBeInstanceOf(AbortSignal);
        expect(signal.aborted).toBe(false);
        for (const text of ["Hello, ", "world. ", "Bye"]) await append(text);
      }),
    );
    expect(response.status).toBe(200);
    expect(response.headers.get("Stream-Offset")).toBe("0".repeat(16));
    const text = "Hello, world. Bye";
    expect(await textOf(response)).toBe(text);
    expect(await body()).toEqual({ text, status: "done" });
  });

  test("sends each piece at once, saves at the end of a sentence, and ends the body when the final status is saved", async () => {
    const { stream, body } = await setUpStream();
    const seen = await stream(
      async (append) => {
        await append("Half a sen");
        await sleep(100);
        await append("tence.");
        await sleep(1000);
      },
      ({ args }) => (args.final === undefined ? undefined : sleep(3000)),
    );
    await pass(0);
    expect(seen.text).toBe("Half a sen");
    expect((await body()).text).toBe("");
    await pass(100);
    const text = "Half a sentence.";
    expect(seen.text).toBe(text);
    expect(await body()).toEqual({ text, status: "streaming" });
    await pass(3000);
    expect(seen.closed).toBe(false);
    await seen.end();
    expect(await body()).toEqual({ text, status: "done" });
  });

  test("runs no writer for a stream that is claimed, done or aborted: an empty 205, and false", async () => {
    const expectNoWriter = async ({ respond, generate }: typeof app) => {
      const response = await respond(neverRuns);
      expect(response.status).toBe(205);
      expect(response.body).toBeNull();
      expect(await generate(neverRuns)).toBe(false);
    };
    const app = await setUpStream();
    const seen = await app.stream(async (append) => {
      await sleep(100);
      await append("Once.");
    });
    await expectNoWriter(app);
    // Followers see no text, so no start either.
    expect(await app.body()).toEqual({ text: "", status: "pending" });
    expect(await seen.end()).toBe("Once.");
    await expectNoWriter(app);
    expect(await app.body()).toEqual({ text: "Once.", status: "done" });
    const aborted = await setUpStream();
    await aborted.abort();
    await expectNoWriter(aborted);
  });
});

describe("one writer, ever", () => {
  test("of 20 requests and 20 background calls at once, one runs its writer", async () => {
    for (let round = 0; round < 3; round++) {
      const { respond, generate, body } = await setUpStream();
      let running = 0;
      const calls = Array.from({ length: 40 }, async (_, i) => {
        const text = `Writer ${i}.`;
        const writer = async (append: (text: string) => Promise<void>) => {
          running++;
          await append(text);
        };
        if (i % 2 === round % 2) {
          const response = await respond(writer);
          if (response.status === 205) return "lost";
          return readBody(response).whole;
        }
        return (await generate(writer)) ? text : "lost";
      });
      const results = await settled(Promise.all(calls));
      expect(running).toBe(1);
      const won = results.filter((result) => result !== "lost");
      expect(won).toHaveLength(1);
      expect(await body()).toEqual({ text: won[0], status: "done" });
    }
  });

  test("a claim whose answer was lost is still this writer's", async () => {
    const { stream, body } = await setUpStream();
    const claiming = stream(writes("Mine."), ({ index }) =>
      index < 2 ? "lost" : undefined,
    );
    expect(await (await settled(claiming)).end()).toBe("Mine.");
    expect((await body()).status).toBe("done");
  });

  test("a claim that keeps failing is an error, and the next request can claim the stream", async () => {
    const { respond, write, body } = await setUpStream();
    const claiming = respond(neverRuns, () => "refused");
    await expect(settled(claiming)).rejects.toThrow("The commit was refused.");
    await write("Now.");
    expect((await body()).text).toBe("Now.");
  });
});

test.each<[string, (body: ReadableStream<Uint8Array>) => unknown]>([
  ["never reads", () => {}],
  [
    "is slow",
    async (body) => {
      const reader = body.getReader();
      while (!(await reader.read()).done) await sleep(10_000);
    },
  ],
  [
    "leaves",
    async (body) => {
      const reader = body.getReader();
      await reader.read();
      await reader.cancel("Enough.");
    },
  ],
])(
  "a reader that %s holds up neither the writer nor other readers",
  async (_, read) => {
    const app = await setUpStream();
    const pieces = Array<string>(20).fill("lorem ipsum dolor ".repeat(4096));
    const driven = await app.respond(writes(...pieces));
    for (const { body } of [driven, await app.resume()]) void read(body!);
    const text = pieces.join("");
    expect((await textOf(await app.resume())) === text).toBe(true);
    expect((await app.body()).status).toBe("done");
  },
);

test.each([
  [0, 0, "Some 😀 text."],
  [8, 8, "text."],
  // Within a character: it comes whole.
  [6, 5, "😀 text."],
  [13, 13, ""],
  [{ tail: 5 }, 8, "text."],
  [{ tail: 7 }, 5, "😀 text."],
  [{ tail: 5, from: 12 }, 12, "."],
  [{ from: undefined, tail: undefined }, undefined, "Some 😀 text."],
])(
  "getStreamBody(…, %j) gives a page from %s on, and the offset to ask for next",
  async (range, from, text) => {
    const { write, t, streaming, streamId } = await setUpStream();
    await write("Some 😀 text.");
    const read = t.query((ctx) =>
      streaming.getStreamBody(ctx, streamId, range as number),
    );
    const page = from === undefined ? {} : { from, next: 13, claimed: false };
    expect(await read).toEqual({ status: "done", text, ...page });
  },
);

test("queries, mutations and actions can call the methods; to stop or delete twice changes nothing", async () => {
  const { t, act, streaming, write, ...app } = await setUpStream();
  await write("Done.");
  await app.abort();
  const done = { text: "Done.", status: "done" };
  expect(await app.body()).toEqual(done);
  const read = (ctx: Parameters<typeof streaming.getStreamBody>[0]) =>
    streaming.getStreamBody(ctx, app.streamId);
  // Exactly these two fields, as in 0.3.
  expect(await t.query(read)).toStrictEqual(done);
  expect(await t.mutation(read)).toStrictEqual(done);
  expect(await act(read)).toStrictEqual(done);
  const other = await act((ctx) => streaming.createStream(ctx));
  const status = () => act((ctx) => streaming.getStreamStatus(ctx, other));
  expect(await status()).toBe("pending");
  await act((ctx) => streaming.abortStream(ctx, other));
  expect(await status()).toBe("aborted");
  await act((ctx) => streaming.deleteStream(ctx, other));
  expect(await status()).toBe("error");
  await act((ctx) => streaming.deleteStream(ctx, other));
  await act((ctx) => streaming.abortStream(ctx, other));
  expect(await status()).toBe("error");
  const gone = { text: "", status: "error" };
  const body = (from?: number) =>
    act((ctx) => streaming.getStreamBody(ctx, other, from));
  expect(await body()).toEqual(gone);
  const page = { ...gone, from: 3, next: 3, claimed: false };
  expect(await body(3)).toEqual(page);
  const noId = act((ctx) => streaming.deleteStream(ctx, "x" as StreamId));
  await expect(noId).rejects.toThrow("Expected ID");
});

test("the component and the options can be read off the instance", () => {
  const { streaming } = setUp({ flush: "line" });
  expect(streaming).toBeInstanceOf(PersistentTextStreaming);
  expect(streaming.options).toEqual({ flush: "line" });
  expect(streaming.component.lib).toBeDefined();
});
