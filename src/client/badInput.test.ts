import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import type { ComponentApi } from "../component/_generated/component.js";
import { settled, useClock } from "../../test/support/clock.js";
import {
  components,
  errorsLogged,
  neverRuns,
  readBody,
  setUp,
  writes,
} from "../../test/support/setup.js";
import { PersistentTextStreaming, type StreamId } from "./index.js";

// What callers get wrong: each gets a sentence, and what is saved stays.

useClock();

beforeEach(() => {
  errorsLogged();
});
afterEach(() => {
  vi.restoreAllMocks();
});

type App = ReturnType<typeof setUp>;

const MB = 1_000_000;
const anything = (value: unknown) => value as never;

/** All that the component has saved. */
const tables = (app: App) =>
  app.inComponent(async (ctx) => ({
    streams: await ctx.db.query("streams").collect(),
    chunks: await ctx.db.query("chunks").collect(),
    jobs: await ctx.db.system.query("_scheduled_functions").collect(),
  }));

/** An app with streams in it, and ids that name no stream of it. */
async function setUpWithIds() {
  const app = setUp();
  const done = await app.create();
  await settled(app.generate(done, writes("Saved.")));
  await app.create();
  const deleted = await app.create();
  await app.remove(deleted);
  await app.finishScheduled();
  const [chunk] = await app.chunks(done);
  const elsewhere = setUp();
  await elsewhere.create();
  return {
    app,
    done,
    ids: {
      "an empty string": "",
      "a foreign string": "no id at all",
      "a zero byte": "\0",
      "half a character": "id \ud83d",
      "10 MB": "x".repeat(10 * MB),
      "an id of another table": String(chunk?._id),
      "an id of a deleted stream": deleted,
      "an id of the wrong letter": done.slice(0, -1) + "!",
    } as Record<string, string>,
  };
}

const badIds = [
  "an empty string",
  "a foreign string",
  "a zero byte",
  "half a character",
  "10 MB",
  "an id of another table",
  "an id of a deleted stream",
  "an id of the wrong letter",
];
const notStrings = [undefined, null, 7, NaN, true, {}, [], ["a"]];

describe("what names no stream", () => {
  let setup: Awaited<ReturnType<typeof setUpWithIds>>;
  let before: Awaited<ReturnType<typeof tables>>;
  beforeEach(async () => {
    setup = await setUpWithIds();
    before = await tables(setup.app);
  });
  afterEach(async () => {
    expect(await tables(setup.app)).toEqual(before);
  });

  const errorOf = async (response: Response) => {
    expect(response.status).toBe(404);
    expect(response.headers.get("X-Content-Type-Options")).toBe("nosniff");
    const { error } = JSON.parse(await response.text()) as { error: string };
    // However long what came was.
    expect(error.length).toBeLessThan(300);
    return error;
  };

  test.each(badIds.filter((id) => id !== "half a character"))(
    "%s",
    async (what) => {
      const { app } = setup;
      const { streaming } = app;
      const id = setup.ids[what] as StreamId;
      const none = /^There is no stream /;
      expect(await errorOf(await app.respond(id, neverRuns))).toMatch(none);
      expect(await errorOf(await app.resume(id))).toMatch(none);
      await expect(app.generate(id, neverRuns)).rejects.toThrow(none);
      expect(await app.body(id)).toEqual({ text: "", status: "error" });
      expect(await app.page(id, 3)).toEqual({
        text: "",
        status: "error",
        from: 3,
        next: 3,
        claimed: false,
      });
      expect(await app.abort(id)).toBeNull();
      const deleting = app.act((ctx) => streaming.deleteStream(ctx, id));
      // The second deletion of a stream changes nothing.
      if (what === "an id of a deleted stream") await deleting;
      else await expect(deleting).rejects.toThrow("Expected ID");
    },
  );

  test("half a character", async () => {
    const { app, ids } = setup;
    const id = ids["half a character"] as StreamId;
    await errorOf(await app.respond(id, neverRuns));
    await errorOf(await app.resume(id));
    await expect(app.generate(id, neverRuns)).rejects.toThrow(
      /^There is no stream /,
    );
    // What Convex itself refuses.
    await expect(app.body(id)).rejects.toThrow("not valid Unicode");
    await expect(
      app.act((ctx) => app.streaming.abortStream(ctx, id)),
    ).rejects.toThrow("not valid Unicode");
  });

  test.each(notStrings)("%s", async (value) => {
    const { app } = setup;
    const id = anything(value);
    await errorOf(await app.respond(id, neverRuns));
    await errorOf(await app.resume(id));
    await expect(app.generate(id, neverRuns)).rejects.toThrow(
      /^There is no stream /,
    );
    const { streaming } = app;
    for (const method of [
      () => app.body(id),
      () => app.page(id, 0),
      () => app.act((ctx) => streaming.abortStream(ctx, id)),
      () => app.act((ctx) => streaming.deleteStream(ctx, id)),
    ]) {
      await expect(method()).rejects.toThrow(
        /streamId|undefined is not a valid|validator/i,
      );
    }
  });
});

describe("what is no offset", () => {
  const sentence = /whole number from 0 on \(UTF-16 code units\)/;

  test.each([-1, 0.5, NaN, Infinity, -Infinity, 2 ** 53, 1e300])(
    "%d",
    async (from) => {
      const { app, done } = await setUpWithIds();
      await expect(app.page(done, from)).rejects.toThrow(sentence);
      const response = await app.resume(done, from);
      expect(response.status).toBe(400);
      expect(await response.text()).toMatch(sentence);
    },
  );

  test.each([null, "0", {}, [], true])("%j", async (from) => {
    const { app, done } = await setUpWithIds();
    await expect(app.page(done, anything(from))).rejects.toThrow(/from|number/);
    if (from === null) return;
    const response = await app.resume(done, anything(from));
    expect(response.status).toBe(400);
  });

  test.each([
    "",
    "x",
    "-2",
    "1.5",
    "1e3",
    "0x10",
    "%00",
    "9007199254740992",
    "1".repeat(5000),
    "1&offset=2",
    "٣",
  ])("?offset=%s", async (offset) => {
    const { app, done } = await setUpWithIds();
    const response = await app.act((ctx) =>
      app.streaming.resume(
        ctx,
        new Request(`https://app.test/resume?offset=${offset}`),
        done,
      ),
    );
    expect(response.status).toBe(400);
    const error = await response.text();
    expect(error).toMatch(sentence);
    expect(error.length).toBeLessThan(400);
  });

  test("-0 is the beginning", async () => {
    const { app, done } = await setUpWithIds();
    const page = await app.page(done, -0);
    expect(page).toEqual({
      text: "Saved.",
      status: "done",
      from: 0,
      next: 6,
      claimed: false,
    });
    const response = await app.resume(done, -0);
    expect(response.headers.get("Stream-Offset")).toBe("0".repeat(16));
    expect(await settled(readBody(response).whole)).toBe("Saved.");
  });
});

describe("what is no component, no option, no writer", () => {
  test.each([undefined, null, "persistentTextStreaming", 7])(
    "new PersistentTextStreaming(%j), when it is used",
    async (component) => {
      const streaming = new PersistentTextStreaming(anything(component));
      const { act } = setUp();
      await expect(act((ctx) => streaming.createStream(ctx))).rejects.toThrow(
        "takes components.persistentTextStreaming, of the app's _generated/api; this is",
      );
    },
  );

  test("no options are none", () => {
    const component: ComponentApi = components.persistentTextStreaming;
    expect(
      () => new PersistentTextStreaming(component, anything(null)),
    ).not.toThrow();
  });

  test.each(["line", 7])(
    "new PersistentTextStreaming(component, %j)",
    (options) => {
      const component: ComponentApi = components.persistentTextStreaming;
      expect(
        () => new PersistentTextStreaming(component, anything(options)),
      ).toThrow('are an object, such as { flush: "line" }');
    },
  );

  test.each([
    null,
    "word",
    { boundary: "word" },
    { boundary: null },
    { maxChars: 0 },
    { maxChars: NaN },
    { maxChars: "many" },
    { maxDelayMs: -1 },
    { maxDelayMs: "soon" },
  ])("flush: %j", (flush) => {
    const component: ComponentApi = components.persistentTextStreaming;
    expect(
      () => new PersistentTextStreaming(component, { flush: anything(flush) }),
    ).toThrow(/^flush/);
  });

  test.each([undefined, null, "text", {}, (async function* () {})()])(
    "%s as a writer, and the stream can still be written",
    async (writer) => {
      const app = setUp();
      const streamId = await app.create();
      const sentence = /takes a writer, a function that appends text or/;
      await expect(
        app.act((ctx) =>
          app.streaming.stream(
            ctx,
            new Request("https://app.test"),
            streamId,
            anything(writer),
          ),
        ),
      ).rejects.toThrow(sentence);
      await expect(app.generate(streamId, anything(writer))).rejects.toThrow(
        sentence,
      );
      await settled(app.generate(streamId, writes("Text.")));
      expect(await app.body(streamId)).toEqual({
        text: "Text.",
        status: "done",
      });
    },
  );
});

describe("what is no text", () => {
  const notText = [
    { what: "undefined", value: undefined, shown: "undefined" },
    { what: "null", value: null, shown: "null" },
    { what: "a number", value: 7, shown: "7" },
    { what: "bytes", value: new Uint8Array(3), shown: "(Uint8Array)" },
    { what: "a String object", value: new String("text"), shown: "(String)" },
    { what: "a list", value: ["text"], shown: "(Array)" },
    { what: "a delta", value: { content: "text" }, shown: "(Object)" },
    {
      what: "no class",
      value: Object.create(null) as unknown,
      shown: "without a class",
    },
  ];

  test.each(notText)("appended: $what", async ({ value, shown }) => {
    const app = setUp();
    const streamId = await app.create();
    const writing = app.generate(streamId, async (append) => {
      await append("Saved.");
      await append(anything(value));
    });
    await expect(settled(writing)).rejects.toThrow(
      /takes a string, .*Skip pieces/,
    );
    await expect(writing).rejects.toThrow(shown);
    expect(await app.body(streamId)).toEqual({
      text: "Saved.",
      status: "error",
    });
  });

  test.each(notText)("yielded: $what", async ({ value, shown }) => {
    const app = setUp();
    const streamId = await app.create();
    const writing = app.generate(streamId, async function* () {
      yield await Promise.resolve("Saved.");
      yield anything(value);
    });
    await expect(settled(writing)).rejects.toThrow(shown);
    expect(await app.body(streamId)).toEqual({
      text: "Saved.",
      status: "error",
    });
  });
});

describe("what a writer gives back", () => {
  const written = async (writer: () => unknown) => {
    const app = setUp();
    const streamId = await app.create();
    const writing = settled(app.generate(streamId, anything(writer)));
    const error: unknown = await writing.then(
      () => null,
      (thrown: unknown) => thrown,
    );
    return { error, body: await app.body(streamId) };
  };

  test.each([undefined, null, "", 7, true, {}])(
    "%j ends the stream, as if it were nothing",
    async (value) => {
      for (const writer of [() => value, () => Promise.resolve(value)]) {
        expect(await written(writer)).toEqual({
          error: null,
          body: { text: "", status: "done" },
        });
      }
    },
  );

  test("an iterable of strings that only comes in turn is the text", async () => {
    const stream = () =>
      new ReadableStream<string>({
        start(controller) {
          controller.enqueue("One ");
          controller.enqueue("two.");
          controller.close();
        },
      });
    expect(await written(stream)).toEqual({
      error: null,
      body: { text: "One two.", status: "done" },
    });
  });

  test.each([
    ["a list", () => ["One ", "two."]],
    ["a text", () => "One two."],
    [
      "a generator that is not async",
      function* () {
        yield "One two.";
      },
    ],
    ["a promise of a text", () => Promise.resolve("One two.")],
    [
      "a promise of an async generator",
      () =>
        Promise.resolve(
          (async function* () {
            yield await Promise.resolve("One two.");
          })(),
        ),
    ],
    [
      "a promise of a ReadableStream",
      () => Promise.resolve(new ReadableStream()),
    ],
  ])(
    "%s, with nothing appended, is an error that says how",
    async (_, writer) => {
      const { error, body } = await written(writer);
      expect(String(error)).toMatch(
        /has appended nothing, and what it gave back is .* which is not read\. A writer appends its text, or/,
      );
      expect(body).toEqual({ text: "", status: "error" });
    },
  );

  test("nothing is said of it if the writer has appended: 0.3 did not either", async () => {
    const app = setUp();
    const streamId = await app.create();
    await settled(
      app.generate(streamId, (append) =>
        anything(Promise.all(["One ", "two."].map(append))),
      ),
    );
    expect((await app.body(streamId)).status).toBe("done");
  });
});

describe("text of all kinds", () => {
  test.each([
    ["zero bytes", "a\0b\0"],
    ["a byte order mark", "\uFEFFtext\uFEFF"],
    ["right to left", "שלום \u202Eabc\u202C عالم"],
    ["combining marks", "e\u0301" + "\u0301".repeat(500)],
    ["joiners", "👩‍👩‍👧‍👦 🏳️‍🌈 👍🏽"],
    ["control characters", "\u0001\u001B[31m\u0085\u2028\u2029\r\n"],
    ["what JSON escapes", '"\\"\\u0000'],
    ["the last code points", "\u{10FFFF}\u{1F}\uFFFE\uFFFF"],
  ])("%s, one code unit at a time", async (_, text) => {
    const app = setUp();
    const streamId = await app.create();
    const response = await app.respond(streamId, async (append) => {
      for (let i = 0; i < text.length; i++) await append(text.charAt(i));
    });
    expect(await settled(readBody(response).whole)).toBe(text);
    expect(await app.body(streamId)).toEqual({ text, status: "done" });
  });

  test.each([
    ["\ud83d", "\uFFFD"],
    ["\ude00", "\uFFFD"],
    ["a\ude00\ud83db", "a\uFFFD\uFFFDb"],
    ["\ud83d\ud83d\ude00", "\uFFFD😀"],
  ])("halves of characters, %j", async (text, made) => {
    const app = setUp();
    const streamId = await app.create();
    const response = await app.respond(streamId, async (append) => {
      for (let i = 0; i < text.length; i++) await append(text.charAt(i));
    });
    expect(await settled(readBody(response).whole)).toBe(made);
    expect((await app.body(streamId)).text).toBe(made);
  });
});
