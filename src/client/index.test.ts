import { afterEach, describe, expect, test, vi } from "vitest";
import { pass, settled, until, useClock } from "../../test/support/clock.js";
import {
  errorsLogged,
  neverRuns,
  readBody,
  setUp,
  textOf,
  writes,
} from "../../test/support/setup.js";
import {
  PersistentTextStreaming,
  StreamIdValidator,
  streamBodyArgs,
  vStreamId,
  type StreamId,
} from "./index.js";

useClock();
afterEach(() => vi.restoreAllMocks());

describe("createStream", () => {
  test("makes a pending stream, from a mutation and from an action", async () => {
    const { create, act, streaming, body } = setUp();
    const pending = { text: "", status: "pending" };
    expect(await body(await create())).toEqual(pending);
    const streamId = await act((ctx) => streaming.createStream(ctx));
    expect(await body(streamId)).toEqual(pending);
  });
});

describe("stream", () => {
  test("answers with the text, and saves it", async () => {
    const { create, respond, body } = setUp();
    const streamId = await create();
    const response = await respond(
      streamId,
      writes("Hello, ", "world. ", "Bye"),
    );
    expect(response.status).toBe(200);
    expect(response.headers.get("Content-Type")).toBe(
      "text/plain; charset=utf-8",
    );
    expect(await textOf(response)).toBe("Hello, world. Bye");
    expect(await body(streamId)).toEqual({
      text: "Hello, world. Bye",
      status: "done",
    });
  });

  test("hands the writer the ctx, the request, the stream's id, append and a signal", async () => {
    const { create, act, streaming, body } = setUp();
    const streamId = await create();
    const request = new Request("https://app.test/stream?prompt=Hi");
    const response = await act((ctx) =>
      streaming.stream(ctx, request, streamId, async (...args) => {
        const [writerCtx, writerRequest, id, append, signal] = args;
        expect(writerCtx).toBe(ctx);
        expect(writerRequest).toBe(request);
        expect(id).toBe(streamId);
        expect(signal).toBeInstanceOf(AbortSignal);
        expect(signal.aborted).toBe(false);
        await append("All in order.");
      }),
    );
    await textOf(response);
    expect((await body(streamId)).status).toBe("done");
  });

  test("sends each piece at once, and saves at the end of a sentence", async () => {
    const { create, respond, body } = setUp();
    const streamId = await create();
    let go = () => {};
    const response = await respond(streamId, async (append) => {
      await append("Half a sen");
      await new Promise<void>((resolve) => (go = resolve));
      await append("tence.");
      await new Promise<void>((resolve) => (go = resolve));
    });
    const { seen } = readBody(response);
    await pass(0);
    expect(seen.text).toBe("Half a sen");
    expect((await body(streamId)).text).toBe("");
    go();
    await pass(0);
    expect(seen.text).toBe("Half a sentence.");
    expect(await body(streamId)).toEqual({
      text: "Half a sentence.",
      status: "streaming",
    });
    go();
    await until(() => seen.closed);
  });

  test("the headers of the response can be set, with text and without", async () => {
    const { create, respond } = setUp();
    const streamId = await create();
    for (const writer of [writes("Text."), neverRuns]) {
      const response = await respond(streamId, writer);
      response.headers.set("Access-Control-Allow-Origin", "*");
      response.headers.append("Vary", "Origin");
      expect(response.headers.get("Access-Control-Allow-Origin")).toBe("*");
      if (response.body) await textOf(response);
    }
  });

  test("runs no writer for a stream that is claimed, done or aborted: an empty 205, and false", async () => {
    const { create, abort, respond, generate, body } = setUp();
    const expectNoWriter = async (id: StreamId) => {
      const response = await respond(id, neverRuns);
      expect(response.status).toBe(205);
      expect(response.body).toBeNull();
      expect(await generate(id, neverRuns)).toBe(false);
    };
    const streamId = await create();
    let go = () => {};
    const first = await respond(streamId, async (append) => {
      await new Promise<void>((resolve) => (go = resolve));
      await append("Once.");
    });
    await expectNoWriter(streamId);
    // Followers see no text, so no start either.
    expect(await body(streamId)).toEqual({ text: "", status: "pending" });
    await pass(0);
    go();
    expect(await textOf(first)).toBe("Once.");
    await expectNoWriter(streamId);
    expect(await body(streamId)).toEqual({ text: "Once.", status: "done" });
    const aborted = await create();
    await abort(aborted);
    await expectNoWriter(aborted);
  });

  test("when the body has ended, the final status is saved", async () => {
    const { create, respond, body } = setUp();
    const streamId = await create();
    const commits: string[] = [];
    const response = await respond(
      streamId,
      writes("One. ", "Two. ", "Three"),
      ({ args }) => {
        if (args.final !== undefined) {
          commits.push(`final ${String(args.text)}`);
          return new Promise((resolve) => setTimeout(resolve, 3000));
        }
      },
    );
    const { seen } = readBody(response);
    await until(() => seen.text === "One. Two. Three");
    await pass(2000);
    // The final commit is on its way; until it is answered, the body stays open.
    expect(commits).toHaveLength(1);
    expect(seen.closed).toBe(false);
    await until(() => seen.closed);
    expect((await body(streamId)).status).toBe("done");
  });

  test("the last text and the final status are one commit", async () => {
    const { create, respond } = setUp();
    const streamId = await create();
    const saves: unknown[] = [];
    const response = await respond(streamId, writes("One. ", "rest"), (m) => {
      if ("start" in m.args) saves.push([m.args.text, m.args.final]);
      return undefined;
    });
    await textOf(response);
    expect(saves).toEqual([
      ["One. ", undefined],
      ["rest", "done"],
    ]);
  });
});

describe("one writer, ever", () => {
  test("of 20 requests and 20 background calls at once, one runs its writer", async () => {
    for (let round = 0; round < 3; round++) {
      const { create, respond, generate, body } = setUp();
      const streamId = await create();
      let running = 0;
      const calls = Array.from({ length: 40 }, async (_, i) => {
        const writer = async (append: (text: string) => Promise<void>) => {
          running++;
          await append(`Writer ${i}.`);
        };
        if (i % 2 === round % 2) {
          const response = await respond(streamId, writer);
          if (response.status === 205) return "lost";
          await readBody(response).whole;
          return `Writer ${i}.`;
        }
        return (await generate(streamId, writer)) ? `Writer ${i}.` : "lost";
      });
      const results = await settled(Promise.all(calls));
      expect(running).toBe(1);
      const won = results.filter((result) => result !== "lost");
      expect(won).toHaveLength(1);
      expect(await body(streamId)).toEqual({ text: won[0], status: "done" });
    }
  });

  test("a claim whose answer was lost is still this writer's", async () => {
    const { create, respond, body } = setUp();
    const streamId = await create();
    const response = await settled(
      respond(streamId, writes("Mine."), ({ index }) =>
        index < 2 ? "lost" : undefined,
      ),
    );
    expect(response.status).toBe(200);
    expect(await textOf(response)).toBe("Mine.");
    expect((await body(streamId)).status).toBe("done");
  });

  test("a claim that keeps failing is an error, and the stream can be asked for again", async () => {
    const { create, respond, body } = setUp();
    const streamId = await create();
    await expect(
      settled(respond(streamId, neverRuns, () => "refused")),
    ).rejects.toThrow("The commit was refused.");
    await textOf(await respond(streamId, writes("Now.")));
    expect((await body(streamId)).text).toBe("Now.");
  });
});

describe("generate", () => {
  test("rejects with the writer's own error, after saving", async () => {
    const { create, generate, body } = setUp();
    const logged = errorsLogged();
    const streamId = await create();
    const error = new Error("The model broke off.");
    const generating = generate(streamId, async (append) => {
      await append("Half a sen");
      throw error;
    });
    await expect(settled(generating)).rejects.toBe(error);
    expect(await body(streamId)).toEqual({
      text: "Half a sen",
      status: "error",
    });
    // It is the caller's to report.
    expect(logged).not.toHaveBeenCalled();
  });
});

describe("getStreamBody", () => {
  test("from a query, a mutation and an action", async () => {
    const { t, create, respond, act, streaming } = setUp();
    const streamId = await create();
    await textOf(await respond(streamId, writes("Some text.")));
    const saved = { text: "Some text.", status: "done" };
    expect(
      await t.query((ctx) => streaming.getStreamBody(ctx, streamId)),
    ).toEqual(saved);
    expect(
      await t.mutation((ctx) => streaming.getStreamBody(ctx, streamId)),
    ).toEqual(saved);
    expect(await act((ctx) => streaming.getStreamBody(ctx, streamId))).toEqual(
      saved,
    );
  });

  test("from an offset, with the offset to ask from in future", async () => {
    const { create, respond, page } = setUp();
    const streamId = await create();
    await textOf(await respond(streamId, writes("Some 😀 text.")));
    expect(await page(streamId, 0)).toEqual({
      text: "Some 😀 text.",
      status: "done",
      from: 0,
      next: 13,
      claimed: false,
    });
    expect(await page(streamId, 8)).toEqual({
      text: "text.",
      status: "done",
      from: 8,
      next: 13,
      claimed: false,
    });
    // In the middle of a character: it comes whole.
    expect(await page(streamId, 6)).toMatchObject({
      text: "😀 text.",
      from: 5,
    });
    expect(await page(streamId, 13)).toMatchObject({ text: "", next: 13 });
  });

  test("without from it gives text and status, nothing else", async () => {
    const { create, body } = setUp();
    expect(Object.keys(await body(await create())).sort()).toEqual([
      "status",
      "text",
    ]);
  });

  test("its arguments, for the app's query", () => {
    expect(Object.keys(streamBodyArgs)).toEqual(["streamId", "from", "tail"]);
    expect(streamBodyArgs.streamId).toBe(vStreamId);
    expect(vStreamId.kind).toBe("string");
    expect(StreamIdValidator.kind).toBe("string");
    expect(streamBodyArgs.from.isOptional).toBe("optional");
    expect(streamBodyArgs.from.kind).toBe("float64");
  });
});

test("abortStream and deleteStream, from an action too, change nothing a second time", async () => {
  const { create, respond, act, streaming, abort, remove, body } = setUp();
  const streamId = await create();
  await textOf(await respond(streamId, writes("Done.")));
  await abort(streamId);
  expect(await body(streamId)).toEqual({ text: "Done.", status: "done" });
  const other = await create();
  await act((ctx) => streaming.abortStream(ctx, other));
  expect((await body(other)).status).toBe("aborted");
  await act((ctx) => streaming.deleteStream(ctx, other));
  expect((await body(other)).status).toBe("error");
  await remove(other);
  await abort(other);
  expect((await body(other)).status).toBe("error");
});

test("the component and the options can be read off the instance", () => {
  const { streaming, lib } = setUp({ flush: "line" });
  expect(streaming).toBeInstanceOf(PersistentTextStreaming);
  expect(streaming.options).toEqual({ flush: "line" });
  expect(streaming.component.lib).toBeDefined();
  expect(lib).toBeDefined();
});
