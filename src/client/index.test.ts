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

const MINUTE = 60_000;
const malformed = "no id at all" as StreamId;

async function deletedStream() {
  const app = setUp();
  const streamId = await app.create();
  await app.remove(streamId);
  return { ...app, streamId };
}

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

  test("a second request gets an empty 205 and starts no writer", async () => {
    const { create, respond, body } = setUp();
    const streamId = await create();
    let go = () => {};
    const first = await respond(streamId, async (append) => {
      await new Promise<void>((resolve) => (go = resolve));
      await append("Once.");
    });
    const second = await respond(streamId, neverRuns);
    expect(second.status).toBe(205);
    expect(second.body).toBeNull();
    // Followers see no text, so no start either.
    expect(await body(streamId)).toEqual({ text: "", status: "pending" });
    await pass(0);
    go();
    expect(await textOf(first)).toBe("Once.");
  });

  test("a request for a stream that is done gets an empty 205", async () => {
    const { create, respond, body } = setUp();
    const streamId = await create();
    await textOf(await respond(streamId, writes("Once.")));
    const response = await respond(streamId, neverRuns);
    expect(response.status).toBe(205);
    expect(response.body).toBeNull();
    expect((await body(streamId)).text).toBe("Once.");
  });

  test("a request for a stream that was aborted gets an empty 205", async () => {
    const { create, abort, respond, body } = setUp();
    const streamId = await create();
    await abort(streamId);
    const response = await respond(streamId, neverRuns);
    expect(response.status).toBe(205);
    expect(response.body).toBeNull();
    expect((await body(streamId)).status).toBe("aborted");
  });

  test.each([
    ["was deleted", "deleted"],
    ["never was", "no id at all"],
    ["has an empty id", ""],
    ["the request does not name", undefined],
  ])("a stream that %s is a 404 with an error in JSON", async (_, id) => {
    const { respond, resume, streamId: deleted } = await deletedStream();
    const streamId = (id === "deleted" ? deleted : id) as StreamId;
    for (const asked of [respond(streamId, neverRuns), resume(streamId)]) {
      const response = await asked;
      expect(response.status).toBe(404);
      expect(response.headers.get("Content-Type")).toBe("application/json");
      expect(await response.json()).toEqual({
        error: expect.stringContaining("There is no stream") as string,
      });
    }
  });

  test("a reader that goes away does not stop the writer", async () => {
    const { create, respond, body } = setUp();
    const streamId = await create();
    const response = await respond(streamId, async (append) => {
      for (let i = 0; i < 5; i++) {
        await append(`${i}. `);
        await new Promise((resolve) => setTimeout(resolve, 300));
      }
    });
    await response.body?.cancel();
    await pass(10_000);
    expect(await body(streamId)).toEqual({
      text: "0. 1. 2. 3. 4. ",
      status: "done",
    });
  });

  test("whoever has read the body to its end can read the final status", async () => {
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

  test("a writer that writes nothing leaves an empty text that is done", async () => {
    const { create, respond, body } = setUp();
    const streamId = await create();
    expect(await textOf(await respond(streamId, writes("", "")))).toBe("");
    expect(await body(streamId)).toEqual({ text: "", status: "done" });
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
  test("resolves when everything is saved", async () => {
    const { create, generate, body } = setUp();
    const streamId = await create();
    await settled(generate(streamId, writes("One. ", "Two")));
    expect(await body(streamId)).toEqual({ text: "One. Two", status: "done" });
  });

  test("takes a generator", async () => {
    const { create, generate, body } = setUp();
    const streamId = await create();
    await settled(
      generate(streamId, async function* () {
        yield "One. ";
        await Promise.resolve();
        yield* ["Two. ", "Three"];
      }),
    );
    expect((await body(streamId)).text).toBe("One. Two. Three");
  });

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

  test("resolves to false without running the writer when another has claimed the stream", async () => {
    const { create, generate } = setUp();
    const streamId = await create();
    let go = () => {};
    const first = generate(
      streamId,
      () => new Promise<void>((resolve) => (go = resolve)),
    );
    await pass(0);
    expect(await generate(streamId, neverRuns)).toBe(false);
    go();
    expect(await settled(first)).toBe(true);
  });

  test("resolves to false without running the writer when the stream has ended", async () => {
    const { create, generate, abort } = setUp();
    const done = await create();
    await settled(generate(done, writes("Once.")));
    expect(await generate(done, neverRuns)).toBe(false);
    const aborted = await create();
    await abort(aborted);
    expect(await generate(aborted, neverRuns)).toBe(false);
  });

  test("rejects without running the writer when there is no such stream", async () => {
    const { streamId, generate } = await deletedStream();
    const sentence = "There is no stream";
    await expect(generate(streamId, neverRuns)).rejects.toThrow(sentence);
    await expect(generate(malformed, neverRuns)).rejects.toThrow(sentence);
  });

  test("resolves when the stream is aborted", async () => {
    const { create, generate, abort, body } = setUp();
    const streamId = await create();
    const generating = generate(streamId, async (append, signal) => {
      await append("So far. ");
      await new Promise((_, reject) =>
        signal.addEventListener("abort", () => reject(signal.reason as Error)),
      );
    });
    await pass(0);
    await abort(streamId);
    await settled(generating);
    expect(await body(streamId)).toEqual({
      text: "So far. ",
      status: "aborted",
    });
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

  test("of a stream that does not exist: no text, and error", async () => {
    const { streamId, body, page } = await deletedStream();
    for (const id of [streamId, malformed]) {
      expect(await body(id)).toEqual({ text: "", status: "error" });
      expect(await page(id, 7)).toEqual({
        text: "",
        status: "error",
        from: 7,
        next: 7,
        claimed: false,
      });
    }
  });

  test.each([NaN, -1, 1.5])(
    "from %d is an error that says why",
    async (from) => {
      const { create, page } = setUp();
      const streamId = await create();
      await expect(page(streamId, from)).rejects.toThrow(
        `from must be an offset into the text, a whole number from 0 on (UTF-16 code units); it is ${from}.`,
      );
    },
  );

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

  test("a reply of 2,000 tokens is read with two documents", async () => {
    const { t, lib, create, generate } = setUp();
    const streamId = await create();
    await settled(
      generate(streamId, async (append) => {
        for (let i = 0; i < 2000; i++) {
          await append(i % 12 === 11 ? `${i}. ` : `${i} `);
          await new Promise((resolve) => setTimeout(resolve, 5));
        }
      }),
    );
    const metrics = await t.query(async (ctx) => {
      await ctx.runQuery(lib.read, { streamId });
      return ctx.meta.getTransactionMetrics();
    });
    expect(metrics.documentsRead.used).toBe(2);
  });
});

describe("abortStream", () => {
  test("of a stream that nobody writes", async () => {
    const { create, abort, body } = setUp();
    const streamId = await create();
    await abort(streamId);
    expect(await body(streamId)).toEqual({ text: "", status: "aborted" });
  });

  test("has no effect on a stream that has ended, or is not there", async () => {
    const { create, respond, abort, remove, body } = setUp();
    const streamId = await create();
    await textOf(await respond(streamId, writes("Done.")));
    await abort(streamId);
    expect(await body(streamId)).toEqual({ text: "Done.", status: "done" });
    await remove(streamId);
    await abort(streamId);
    await abort(malformed);
    expect((await body(streamId)).status).toBe("error");
  });

  test("from an action", async () => {
    const { create, act, streaming, body } = setUp();
    const streamId = await create();
    await act((ctx) => streaming.abortStream(ctx, streamId));
    expect((await body(streamId)).status).toBe("aborted");
  });
});

describe("deleteStream", () => {
  test("the stream is gone at once, its chunks when the batches have run", async () => {
    const {
      t,
      create,
      lib,
      remove,
      body,
      chunks,
      inComponent,
      finishScheduled,
    } = setUp();
    const streamId = await create();
    await t.mutation(lib.addChunk, { streamId, text: "x", final: false });
    await inComponent(async (ctx) => {
      const [first] = await ctx.db.query("chunks").collect();
      if (first === undefined) throw new Error("There is no chunk.");
      for (let start = 1; start < 300; start++) {
        const { streamId } = first;
        await ctx.db.insert("chunks", { streamId, start, text: "x" });
      }
    });
    expect((await body(streamId)).text).toHaveLength(300);
    await remove(streamId);
    expect(await body(streamId)).toEqual({ text: "", status: "error" });
    await finishScheduled();
    expect(await chunks(streamId)).toEqual([]);
  });

  test("from an action", async () => {
    const { create, act, streaming, body } = setUp();
    const streamId = await create();
    await act((ctx) => streaming.deleteStream(ctx, streamId));
    expect((await body(streamId)).status).toBe("error");
  });

  test("a second time changes nothing; an id that no stream ever had is an error", async () => {
    const { streamId, remove } = await deletedStream();
    await remove(streamId);
    await expect(remove(malformed)).rejects.toThrow("Expected ID");
  });
});

describe("the 20 minutes of the cron", () => {
  const cleanUp = async ({ t, inComponent }: ReturnType<typeof setUp>) => {
    const { internal } = await import("../component/_generated/api.js");
    await inComponent(async (ctx) => {
      await ctx.scheduler.runAfter(0, internal.lib.cleanupExpiredStreams, {});
    });
    await vi.advanceTimersByTimeAsync(0);
    await t.finishInProgressScheduledFunctions();
  };

  test("do not end a stream whose writer is silent and alive", async () => {
    for (const start of ["", "Let me think. "]) {
      const app = setUp();
      const streamId = await app.create();
      const generating = app.generate(streamId, async (append) => {
        await append(start);
        await new Promise((resolve) => setTimeout(resolve, 45 * MINUTE));
        await append("Done.");
      });
      for (let minute = 0; minute < 44; minute++) {
        await settled(new Promise((r) => setTimeout(r, MINUTE)));
        await cleanUp(app);
      }
      expect((await app.body(streamId)).status).toBe(
        start === "" ? "pending" : "streaming",
      );
      await settled(generating);
      expect(await app.body(streamId)).toEqual({
        text: `${start}Done.`,
        status: "done",
      });
    }
  });
});

describe("streams of version 0.3", () => {
  test("a pending one can be streamed", async () => {
    const { inComponent, respond, body } = setUp();
    const streamId = (await inComponent((ctx) =>
      ctx.db.insert("streams", { status: "pending" }),
    )) as string as StreamId;
    expect(await textOf(await respond(streamId, writes("New text.")))).toBe(
      "New text.",
    );
    expect((await body(streamId)).status).toBe("done");
  });

  test("one that it left streaming is read, aborted and deleted", async () => {
    const app = setUp();
    const { inComponent, respond, body, page, abort, remove, chunks } = app;
    const streamId = (await inComponent(async (ctx) => {
      const streamId = await ctx.db.insert("streams", { status: "streaming" });
      for (const text of ["Once ", "upon ", "a time"]) {
        await ctx.db.insert("chunks", { streamId, text });
      }
      return streamId;
    })) as string as StreamId;
    expect((await respond(streamId, neverRuns)).status).toBe(205);
    expect(await body(streamId)).toEqual({
      text: "Once upon a time",
      status: "streaming",
    });
    expect(await page(streamId, 7)).toMatchObject({
      text: "on a time",
      from: 7,
    });
    await abort(streamId);
    expect((await body(streamId)).status).toBe("aborted");
    await remove(streamId);
    await app.finishScheduled();
    expect(await chunks(streamId)).toEqual([]);
  });
});

test("the component and the options can be read off the instance", () => {
  const { streaming, lib } = setUp({ flush: "line" });
  expect(streaming).toBeInstanceOf(PersistentTextStreaming);
  expect(streaming.options).toEqual({ flush: "line" });
  expect(streaming.component.lib).toBeDefined();
  expect(lib).toBeDefined();
});
