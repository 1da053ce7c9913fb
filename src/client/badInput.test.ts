import { makeFunctionReference } from "convex/server";
import { beforeEach, describe, expect, test } from "vitest";
import { settled, useClock } from "../../test/support/clock.js";
import {
  errorsLogged,
  neverRuns,
  setUp,
  setUpStream,
  textOf,
  writes,
} from "../../test/support/setup.js";
import { PersistentTextStreaming, type StreamId } from "./index.js";

// Invalid input gets an error that explains it, and what is saved stays.

useClock();

beforeEach(() => {
  errorsLogged();
});

const anything = (value: unknown) => value as never;

/** Everything that the component has saved. */
const tables = ({ inComponent }: ReturnType<typeof setUp>) =>
  inComponent(async (ctx) => ({
    streams: await ctx.db.query("streams").collect(),
    chunks: await ctx.db.query("chunks").collect(),
    jobs: await ctx.db.system.query("_scheduled_functions").collect(),
  }));

async function written(text: string) {
  const app = await setUpStream();
  await app.write(text);
  return app;
}

/** Values that are not the id of a stream. */
const ids: [string, (app: ReturnType<typeof setUp>) => unknown][] = [
  ["an empty string", () => ""],
  ["a zero byte", () => "\0"],
  ["10 MB", () => "x".repeat(10_000_000)],
  ["an id of another table", async (app) => (await tables(app)).chunks[0]?._id],
  [
    "an id of the wrong letter",
    async ({ create }) => (await create()).slice(0, -1) + "!",
  ],
  [
    "an id of a deleted stream",
    async ({ t, create, streaming, finishScheduled }) => {
      const streamId = await create();
      await t.mutation((ctx) => streaming.deleteStream(ctx, streamId));
      await finishScheduled();
      return streamId;
    },
  ],
  ["half a character", () => "id \ud83d"],
  ["undefined", () => undefined],
  ["a number", () => 7],
  ["an array", () => ["a"]],
];

test.each(ids)("what names no stream: %s", async (_, idOf) => {
  const app = setUp();
  await settled(app.generate(await app.create(), writes("Saved.")));
  const id = (await idOf(app)) as StreamId;
  const before = await tables(app);
  const { respond, resume, generate } = app;
  for (const response of [await respond(id, neverRuns), await resume(id)]) {
    expect(response.status).toBe(404);
    const { error } = (await response.json()) as { error: string };
    expect(error).toMatch(/^There is no stream /);
    // Even if the id is long.
    expect(error.length).toBeLessThan(300);
  }
  await expect(generate(id, neverRuns)).rejects.toMatchObject({
    data: { kind: "StreamNotFound" },
  });
  expect(await tables(app)).toEqual(before);
});

test.each([
  -1,
  0.5,
  NaN,
  Infinity,
  2 ** 53,
  1e300,
  null,
  "0",
  { from: {} },
  [],
])("the offset or tail %j is refused", async (from) => {
  const { page, resume } = await written("Saved.");
  const sentence =
    typeof from === "number" ? /whole number of 0 or more/ : /from|tail|number/;
  await expect(page(anything(from))).rejects.toThrow(sentence);
  await expect(page(anything({ tail: from }))).rejects.toThrow(sentence);
  if (from === null) return;
  const response = await resume(anything(from));
  expect(response.status).toBe(400);
  expect(await response.text()).toMatch(sentence);
});

test("the offset -0 is the beginning", async () => {
  const { page, resume } = await written("Saved.");
  expect(await page(-0)).toMatchObject({ text: "Saved.", from: 0 });
  const response = await resume(-0);
  expect(response.headers.get("Stream-Offset")).toBe("0".repeat(16));
  expect(await textOf(response)).toBe("Saved.");
});

describe("invalid components, options and writers", () => {
  test.each([undefined, null, "persistentTextStreaming", 7])(
    "new PersistentTextStreaming(%j), when it is used",
    async (component) => {
      const streaming = new PersistentTextStreaming(anything(component));
      const { act } = setUp();
      await expect(act((ctx) => streaming.createStream(ctx))).rejects.toThrow(
        "needs components.persistentTextStreaming from the app's _generated/api, not",
      );
    },
  );

  const noOptions = /must be an object, such as { flush: "line" }/;
  const noTimeout = /timeoutMs must be a number of milliseconds from 1,000 to/;
  test.each([
    ["line", noOptions],
    [7, noOptions],
    [{ timeoutMs: 0 }, noTimeout],
    [{ timeoutMs: NaN }, noTimeout],
    [{ timeoutMs: 999 }, noTimeout],
    [{ timeoutMs: 86_400_001 }, noTimeout],
    [{ timeoutMs: "2000" }, noTimeout],
    [null, null],
    [{ timeoutMs: 1000 }, null],
    [{ timeoutMs: 86_400_000 }, null],
  ])("new PersistentTextStreaming(component, %j)", (options, error) => {
    const make = () => setUp(anything(options));
    if (error === null) expect(make).not.toThrow();
    else expect(make).toThrow(error);
  });

  const onComplete = makeFunctionReference("chat:onEnd");
  test.each([
    [/options of createStream must be an object/, null],
    [/options of createStream must be an object/, "context"],
    [/a context but no onComplete/, { context: 1 }],
    [/reference to an internal mutation.* an object/, { onComplete: {} }],
    [/at most 64 KiB/, { onComplete, context: "x".repeat(2_000_000) }],
    [/half a surrogate pair/, { onComplete, context: "x\ud83d" }],
    [/Convex value.* a function/, { onComplete, context: () => {} }],
    [/Convex value.* \(Date\)/, { onComplete, context: new Date() }],
  ])("createStream: %s", async (error, options) => {
    const { t, streaming } = setUp();
    const creating = t.mutation((ctx) =>
      streaming.createStream(ctx, anything(options)),
    );
    await expect(creating).rejects.toThrow(error);
    await expect(creating).rejects.toBeInstanceOf(TypeError);
  });

  test.each([undefined, null, "text", {}, (async function* () {})()])(
    "%s as a writer, and the stream can still be written",
    async (writer) => {
      const { generate, write, body, ...app } = await setUpStream();
      const sentence = /needs a writer, a function that appends text or/;
      const request = new Request("https://app.test");
      const streaming = app.act((ctx) =>
        app.streaming.stream(ctx, request, app.streamId, anything(writer)),
      );
      await expect(streaming).rejects.toThrow(sentence);
      await expect(generate(anything(writer))).rejects.toThrow(sentence);
      await write("Text.");
      expect((await body()).status).toBe("done");
    },
  );
});

test.each([
  [undefined, "undefined"],
  [7, "7"],
  [new String("text"), "(String)"],
  [{ content: "text" }, "(Object)"],
])(
  "something other than text, appended or yielded: %o",
  async (value, shown) => {
    let cleanedUp = false;
    for (const writer of [
      async (append: (text: string) => Promise<void>) => {
        await append("Saved.");
        await append(anything(value));
      },
      async function* () {
        try {
          yield await Promise.resolve("Saved.");
          yield anything(value);
        } finally {
          cleanedUp = true;
        }
      },
    ]) {
      const { generate, body } = await setUpStream();
      const writing = settled(generate(writer));
      await expect(writing).rejects.toThrow(/takes a string, .*Skip pieces/);
      await expect(writing).rejects.toThrow(shown);
      expect(await body()).toEqual({ text: "Saved.", status: "error" });
    }
    expect(cleanedUp).toBe(true);
  },
);

async function* generator() {
  yield await Promise.resolve("One two.");
}
test.each<[returned: unknown, isFine: boolean]>([
  [undefined, true],
  [null, true],
  ["", true],
  [7, true],
  [{}, true],
  [["One ", "two."], false],
  ["One two.", false],
  [["One two."].values(), false],
  [Promise.resolve(generator()), false],
  [Promise.resolve(new ReadableStream()), false],
])(
  "a writer that appends nothing and returns %s, or a promise of it, is fine: %s",
  async (returned, isFine) => {
    for (const written of [returned, Promise.resolve(returned)]) {
      const { generate, body } = await setUpStream();
      const writing = settled(generate(anything(() => written)));
      const error = await writing.then(() => "", String);
      expect(error).toMatch(
        isFine
          ? /^$/
          : /appended nothing and returned .*, which has no effect\. Append the text, or/,
      );
      const status = isFine ? "done" : "error";
      expect(await body()).toEqual({ text: "", status });
    }
  },
);

test("a list that a writer returns after appending is ignored, as in 0.3", async () => {
  const { generate, body } = await setUpStream();
  const writing = generate((append) =>
    anything(Promise.all(["One ", "two."].map(append))),
  );
  await settled(writing);
  expect((await body()).status).toBe("done");
});

test.each([
  ["a byte order mark at its start", "\uFEFFtext\uFEFF"],
  [
    "zero bytes, controls, and the last code points",
    "\0\u001B[31m\r\n\u{10FFFF}\uFFFF",
  ],
  ["a lone second half", "a.\ude00b", "a.\uFFFDb"],
  ["a lone first half", "\ud83d\ud83d\ude00. \ud83d", "\uFFFD😀. \uFFFD"],
])("text, one code unit at a time: %s", async (_, text, made = text) => {
  const { stream, body, page } = await setUpStream();
  const seen = await stream(async (append) => {
    for (const unit of text.split("")) {
      await append(unit);
      await append("");
    }
  });
  expect(await seen.end()).toBe(made);
  expect(await body()).toEqual({ text: made, status: "done" });
  expect((await page(1)).text).toContain(made.slice(1));
});
