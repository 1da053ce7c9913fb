import {
  internalMutationGeneric,
  makeFunctionReference,
  type GenericDataModel,
  type GenericMutationCtx,
  type FunctionReference,
} from "convex/server";
import { ConvexError, v, type Value } from "convex/values";
import { describe, expect, test } from "vitest";
import page from "../../docs/endings.md?raw";
import { pass, settled, useClock } from "../../test/support/clock.js";
import {
  errorsLogged,
  fired,
  setUp,
  textOf,
  writes,
} from "../../test/support/setup.js";
import { sleep } from "../time.js";
import {
  vOnCompleteArgs,
  type BackgroundWriter,
  type OnCompleteArgs,
  type StreamId,
} from "./index.js";

// How streams end, and what the app learns of it.

useClock();

const MINUTE_MS = 60_000;
type Callback = (
  ctx: GenericMutationCtx<GenericDataModel>,
  args: { streamId: StreamId },
) => unknown;

type OnEnd = FunctionReference<"mutation", "internal", OnCompleteArgs, unknown>;

/** An app with an `onComplete` that records its arguments and the stream's text. */
function appWith(onCall: Callback = () => {}) {
  const told: (Partial<OnCompleteArgs> & { text: string })[] = [];
  const onEnd = internalMutationGeneric({
    args: vOnCompleteArgs(v.optional(v.any())),
    handler: async (ctx, args) => {
      await onCall(ctx as GenericMutationCtx<GenericDataModel>, args);
      const { text } = await app.streaming.getStreamBody(ctx, args.streamId);
      told.push({ ...args, text });
      return null;
    },
  });
  const rubbish = internalMutationGeneric({
    args: vOnCompleteArgs(),
    returns: v.null(),
    handler: async (ctx) => {
      await ctx.db.insert("notes", { from: "rubbish" });
      return "rubbish" as unknown as null;
    },
  });
  const app = setUp(undefined, {
    "./chat.ts": () => Promise.resolve({ onEnd, rubbish }),
  });
  const { streaming } = app;
  const create = (context?: Value, name = "chat:onEnd"): Promise<StreamId> =>
    app.t.mutation((ctx) =>
      streaming.createStream(ctx, {
        onComplete: makeFunctionReference(name) as unknown as OnEnd,
        ...(context === undefined ? {} : { context }),
      }),
    );
  const info = (streamId: StreamId) =>
    app.t.query((ctx) => streaming.getStreamInfo(ctx, streamId));
  const rows = () =>
    app.inComponent((ctx) => ctx.db.query("callbacks").collect());
  /** Lets time pass, and runs what is due. */
  const after = async (minutes: number) => {
    await pass(minutes * MINUTE_MS);
    await app.finishScheduled();
  };
  /** Runs a writer that takes the stream over. */
  const takeOver = (streamId: StreamId, writer: BackgroundWriter) =>
    app.act((ctx) =>
      streaming.generate(ctx, streamId, writer, { takeOver: true }),
    );
  return { ...app, create, info, rows, told, after, takeOver };
}
type App = ReturnType<typeof appWith>;

type End = (app: App, streamId: StreamId) => Promise<unknown>;

const returns =
  (last: () => object): End =>
  (app, streamId) => {
    const writing = app.generate(streamId, async (append) => {
      await append("Text. ");
      return last();
    });
    return settled(writing).catch(() => {});
  };
const throws = (error: Error): End =>
  returns(() => {
    throw error;
  });

/** Each save of text fails until the writer is given up. */
const cannotSave: End = (app, streamId) => {
  let refusals = 7;
  const writer: BackgroundWriter = async (append, signal) => {
    await append("Text. ");
    await fired(signal);
  };
  const writing = app.generate(streamId, writer, ({ args }) =>
    args["text"] && refusals-- > 0 ? "refused" : undefined,
  );
  return settled(writing).catch(() => {});
};

const isSilent: End = async (app, streamId) => {
  const claim = { streamId, writer: "w", timeoutMs: 2 * MINUTE_MS };
  await app.t.mutation(app.lib.claim, claim);
  await app.after(1.9);
  expect(app.told).toEqual([]);
  await app.after(1.1);
};

const quota = { message: "The quota is used up.", code: 7 };

/** How the rows of the table in docs/endings.md come about: the text, its end, and what else readers learn. */
const endings: Record<
  string,
  [text: string, end: End, more?: { result?: object; error?: object }]
> = {
  "The writer returns": [
    "Text. ",
    returns(() => ({ tokens: 3, no: undefined })),
    { result: { tokens: 3 } },
  ],
  "The writer throws a `ConvexError`": [
    "Text. ",
    throws(new ConvexError(quota)),
    { error: { message: quota.message, data: quota } },
  ],
  "The writer throws any other error": ["Text. ", throws(new Error("secret"))],
  "Its text cannot be saved": ["Text. ", cannotSave],
  "Someone calls `abortStream`": ["", (app, id) => app.abort(id)],
  "The writer is silent for `timeoutMs`": ["", isSilent],
  "No one claims it for 20 minutes": ["", (app) => app.after(21)],
  "Someone deletes it": ["", (app, id) => app.remove(id)],
  "An app of 0.3 calls `addChunk` with `final`": [
    "Text. ",
    ({ t, lib }, streamId) =>
      t.mutation(lib.addChunk, { streamId, text: "Text. ", final: true }),
  ],
  "An app of 0.3 sets the status to `error`": [
    "",
    ({ t, lib }, streamId) =>
      t.mutation(lib.setStreamStatus, { streamId, status: "error" }),
  ],
};

/** What readers learn of an error, by its kind. */
const messages: Record<string, string> = {
  WriterFailed: "The writer failed.",
  CannotSave: "The text could not be saved.",
  Stopped: "The stream was stopped.",
  TimedOut: "The writer stopped responding.",
};

describe("onComplete", () => {
  const [, table = ""] = /what happens.*\n.*\n((?:\|.*\n)+)/.exec(page) ?? [];
  const rows = table
    .trim()
    .split("\n")
    .map((row) =>
      row
        .split("|")
        .map((cell) => cell.trim())
        .slice(1, -1),
    );

  test("docs/endings.md has all endings", () => {
    expect(rows.map(([how]) => how)).toEqual(Object.keys(endings));
  });

  test.each(rows)("runs once: %s", async (how, ...says) => {
    errorsLogged();
    const [status, kind = "", told] = says.map((cell) =>
      cell.replaceAll("`", ""),
    );
    const [text, end, { result, ...more } = {}] = endings[how]!;
    const error =
      kind === ""
        ? undefined
        : { kind, message: messages[kind], ...more.error };
    const app = appWith();
    const context = { messageId: "m1" };
    const streamId = await app.create(context);
    const started = Date.now();
    await end(app, streamId);
    const { length } = text;
    expect(app.told).toMatchObject([
      { streamId, status: told, length, text, context },
    ]);
    expect(app.told[0]?.result).toEqual(result);
    expect(app.told[0]?.error).toEqual(error);
    expect(await app.rows()).toEqual([]);
    const read = await app.page(streamId, 0);
    expect(read).toMatchObject({ status });
    expect(read.error).toEqual(error);
    // Its writer has nothing more to save.
    if (text !== "") expect(read.claimed).toBe(false);
    const info = await app.info(streamId);
    if (told === "deleted") expect(info).toBeNull();
    else {
      expect(info).toMatchObject({ status, length });
      expect(info?.error).toEqual(error);
      expect(info?.result).toEqual(result);
      expect(info?.endedAt).toBeGreaterThanOrEqual(started);
      expect(info?.firstTextAt === undefined).toBe(text === "");
    }
    await app.abort(streamId);
    await pass(60 * MINUTE_MS);
    expect(app.told).toHaveLength(1);
  });

  test("that throws does not keep its stream open, and is run again by itself, for each of many", async () => {
    const errors = errorsLogged();
    let failures = 60;
    const app = appWith(() => {
      if (failures-- > 0) throw new Error("not today");
    });
    const streamId = await app.create();
    await app.generate(streamId, writes("Text."));
    expect((await app.body(streamId)).status).toBe("done");
    for (let i = 1; i < 60; i++) await app.abort(await app.create());
    expect(app.told).toEqual([]);
    expect(String(errors.mock.calls)).toContain("chat:onEnd");
    await app.after(3);
    expect(app.told).toHaveLength(60);
    expect(app.told).toContainEqual(
      expect.objectContaining({ streamId, status: "done", text: "Text." }),
    );
    expect(await app.rows()).toEqual([]);
  });

  test("that always throws is run five times more, within a day, and stays owed", async () => {
    const errors = errorsLogged();
    let calls = 0;
    const app = appWith(() => {
      calls++;
      throw new Error("never");
    });
    await app.abort(await app.create("context"));
    for (const [i, minutes] of [1, 5, 30, 4 * 60, 12 * 60].entries()) {
      await app.after(0.6 * minutes);
      expect(calls).toBe(1 + i);
      await app.after(0.4 * minutes + 2);
      expect(calls).toBe(2 + i);
    }
    await app.after(48 * 60);
    expect(calls).toBe(6);
    expect(await app.rows()).toMatchObject([
      { name: "chat:onEnd", context: "context", owed: { status: "aborted" } },
    ]);
    expect(String(errors.mock.calls)).toContain("is not run again");
  });

  test.each(["aborted", "deleted"])(
    "receives the length of a live text that is %s",
    async (status) => {
      const { create, t, lib, told, abort, remove } = appWith();
      const streamId = await create();
      await t.mutation(lib.claim, { streamId, writer: "w" });
      for (const [start, text] of ["x".repeat(600), "Text."].entries()) {
        const save = { streamId, writer: "w", start: 600 * start, text };
        await t.mutation(lib.append, save);
      }
      await (status === "deleted" ? remove : abort)(streamId);
      expect(told).toMatchObject([{ status, length: 605 }]);
    },
  );

  test.each(["rubbish", "renamed"])(
    "%s, which cannot succeed, is logged by name, has written nothing, and is owed",
    async (name) => {
      const errors = errorsLogged();
      const app = appWith();
      await app.abort(await app.create(undefined, `chat:${name}`));
      expect(String(errors.mock.calls)).toContain(`chat:${name}`);
      const notes = app.t.run((ctx) =>
        ctx.db.query("notes" as never).collect(),
      );
      expect(await notes).toEqual([]);
      expect(await app.rows()).toMatchObject([{ owed: { status: "aborted" } }]);
    },
  );

  test("that fails in a way that cannot be caught costs neither the text nor the end", async () => {
    const app = appWith();
    const streamId = await app.create();
    const saves: unknown[] = [];
    // As a second of JavaScript does: the commit that would run it is refused.
    const writing = app.generate(streamId, writes("Text"), ({ args }) => {
      if (!("start" in args)) return undefined;
      const { text, final, owe } = args;
      saves.push({ text, final, owe });
      return final !== undefined && owe !== true ? "refused" : undefined;
    });
    expect(await settled(writing)).toBe(true);
    expect(saves.slice(-4)).toEqual([
      { text: "Text", final: "done" },
      { text: "Text" },
      { text: "", final: "done" },
      { text: "", final: "done", owe: true },
    ]);
    const ended = { status: "done", length: 4 };
    expect(await app.info(streamId)).toMatchObject(ended);
    expect(app.told).toEqual([]);
    await app.after(3);
    expect(app.told).toMatchObject([{ status: "done", text: "Text" }]);
  });

  test("may delete its stream", async () => {
    let remove: Callback = () => {};
    const app = appWith((ctx, args) => remove(ctx, args));
    remove = (ctx, { streamId }) => app.streaming.deleteStream(ctx, streamId);
    const streamId = await app.create();
    expect(await app.generate(streamId, writes("Text."))).toBe(true);
    expect(await app.info(streamId)).toBeNull();
    expect(app.told).toMatchObject([{ status: "done", length: 5, text: "" }]);
  });
});

describe("takeOver", () => {
  test("the next writer continues after the saved text, and the previous one is stopped", async () => {
    const app = appWith();
    const streamId = await app.create();
    let reason: unknown;
    const saves: unknown[] = [];
    const first = app.generate(
      streamId,
      async (append, signal) => {
        await append("One. ");
        await fired(signal);
        reason = signal.reason;
      },
      ({ args }) => void saves.push(args.text),
    );
    await pass(1000);
    const second = app.takeOver(streamId, async (append) => {
      const { text } = await app.body(streamId);
      await append(`Two, after ${JSON.stringify(text)}.`);
      await sleep(5000);
    });
    expect(await settled(second)).toBe(true);
    expect(await settled(first)).toBe(true);
    // The first writer makes no last save.
    expect(saves).toEqual([undefined, "One. "]);
    expect(String(reason)).toContain("was taken over by another writer");
    expect((await app.body(streamId)).text).toBe('One. Two, after "One. ".');
    expect(app.told).toHaveLength(1);
  });

  test("a claim that arrives late, or again, takes nothing back", async () => {
    const { create, t, lib } = appWith();
    const streamId = await create();
    const claimAs = (writer: string) =>
      t.mutation(lib.claim, { streamId, writer, takeOver: true });
    await claimAs("first");
    await claimAs("second");
    expect(await claimAs("first")).toMatchObject({ claimed: false });
    const open = { streamId, start: 0, text: "", final: "open" as const };
    await t.mutation(lib.append, { ...open, writer: "second" });
    expect(await claimAs("second")).toMatchObject({ claimed: false });
    expect(await claimAs("third")).toMatchObject({ claimed: true });
    expect(await claimAs("third")).toMatchObject({ claimed: true });
  });

  const writesAndThrows =
    (text: string, error: Error): BackgroundWriter =>
    async (append) => {
      await append(text);
      throw error;
    };

  test("a writer that throws twice and then succeeds writes one text", async () => {
    const app = appWith();
    const streamId = await app.create();
    for (const text of ["One. ", "Two. "]) {
      const writer = writesAndThrows(text, new Error("429"));
      const failing = settled(app.takeOver(streamId, writer));
      await expect(failing).rejects.toThrow("429");
      const open = { status: "streaming", claimed: true };
      expect(await app.page(streamId, 0)).toMatchObject(open);
      expect(app.told).toEqual([]);
    }
    expect(await app.takeOver(streamId, writes("Three."))).toBe(true);
    const text = "One. Two. Three.";
    expect(app.told).toMatchObject([{ status: "done", text }]);
    expect(await app.takeOver(streamId, writes("Four."))).toBe(false);
  });

  test.each(["error", "aborted"])(
    "a stream that no writer takes over ends with the last one's error, unless it is stopped: %s",
    async (status) => {
      const app = appWith();
      const streamId = await app.create();
      const message = "Too busy.";
      const writer = writesAndThrows("One. ", new ConvexError(message));
      const failing = settled(app.takeOver(streamId, writer));
      await expect(failing).rejects.toThrow();
      if (status === "aborted") await app.abort(streamId);
      await app.after(3);
      const error =
        status === "aborted"
          ? { kind: "Stopped" }
          : { kind: "WriterFailed", message, data: message };
      expect(app.told).toMatchObject([{ status, error, text: "One. " }]);
    },
  );
});

describe("signs of life", () => {
  test("a live writer may be silent for long", async () => {
    const app = appWith();
    const streamId = await app.create();
    const writing = app.generate(streamId, async (append) => {
      await append("Text.");
      await sleep(11 * MINUTE_MS);
    });
    await pass(10 * MINUTE_MS);
    expect((await app.body(streamId)).status).toBe("streaming");
    await settled(writing);
    expect(app.told).toMatchObject([{ status: "done" }]);
    const { firstTextAt = Infinity, endedAt = 0 } = (await app.info(streamId))!;
    expect(endedAt - firstTextAt).toBeGreaterThanOrEqual(10 * MINUTE_MS);
  });

  test("50 streams at once plan one check, and an idle deployment none", async () => {
    const app = appWith();
    const jobs = () =>
      app.inComponent((ctx) =>
        ctx.db.system.query("_scheduled_functions").collect(),
      );
    const ids = await Promise.all(
      Array.from({ length: 50 }, () => app.create()),
    );
    expect(await jobs()).toHaveLength(1);
    for (const id of ids) await app.abort(id);
    await app.after(60);
    expect(await jobs()).toHaveLength(1);
  });
});

test("a generator's return is the result, over HTTP too", async () => {
  const app = appWith();
  const streamId = await app.create();
  const response = await app.respond(streamId, async function* () {
    yield await Promise.resolve("Text.");
    return { finishReason: "stop" };
  });
  await textOf(response);
  expect((await app.info(streamId))?.result).toEqual({ finishReason: "stop" });
});
