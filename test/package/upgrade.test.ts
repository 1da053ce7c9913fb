/**
 * Data of 0.3 under this version. An app writes streams with the published
 * package, by what that offers to apps; its rows are then put in place of this
 * component's own. On a deployment they stay where they are, with their ids.
 */
import { convexTest } from "convex-test";
import {
  componentsGeneric,
  defineSchema,
  mutationGeneric as mutation,
  queryGeneric as query,
  type FunctionReference,
  type GenericDocument,
} from "convex/server";
import { v } from "convex/values";
import { PersistentTextStreaming as Published } from "persistent-text-streaming-published";
import published from "persistent-text-streaming-published/test";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { PersistentTextStreaming } from "../../src/client/index.js";
import type { StreamId } from "../../src/client/index.js";
import type { ComponentApi } from "../../src/component/_generated/component.js";
import component from "../../src/test.js";

const MINUTE = 60_000;

/** All rows of the component, in the order of their creation. */
interface Rows {
  streams: GenericDocument[];
  chunks: GenericDocument[];
}

// Beside the component's own functions: its data, out and in.
const backup = {
  takeOut: query({
    args: {},
    handler: async ({ db }): Promise<Rows> => ({
      streams: (await db.query("streams").collect()) as GenericDocument[],
      chunks: (await db.query("chunks").collect()) as GenericDocument[],
    }),
  }),
  putIn: mutation({
    args: { table: v.string(), row: v.any() },
    handler: (ctx, { table, row }): Promise<string> =>
      ctx.db.insert(table, row as GenericDocument),
  }),
};

type Mutation<
  Args extends Record<string, unknown>,
  Result = null,
> = FunctionReference<"mutation", "internal", Args, Result>;
type Query<Result> = FunctionReference<
  "query",
  "internal",
  Record<string, never>,
  Result
>;
const components = componentsGeneric() as unknown as {
  persistentTextStreaming: ComponentApi & {
    backup: {
      takeOut: Query<Rows>;
      putIn: Mutation<{ table: string; row: GenericDocument }, string>;
    };
    lib: {
      cleanupExpiredStreams: Mutation<Record<string, never>>;
      _deleteChunksPage: Mutation<{ streamId: string; cursor: string | null }>;
    };
  };
};
const { persistentTextStreaming } = components;
const { lib } = persistentTextStreaming;

function appWith({ schema, modules }: typeof component | typeof published) {
  const t = convexTest({
    schema: defineSchema({}),
    modules: { "./_generated/api.js": () => Promise.resolve({}) },
    transactionLimits: true,
  });
  const folder = Object.keys(modules)
    .find((file) => file.includes("_generated"))
    ?.split("_generated")[0];
  t.registerComponent("persistentTextStreaming", schema, {
    ...modules,
    [`${folder}backup.ts`]: () => Promise.resolve(backup),
  });
  return t;
}
type App = ReturnType<typeof appWith>;

/** The text of a stream that is being written, in as many rows as sentences. */
const sentences = Array.from(
  { length: 300 },
  (_, i) => `Sentence ${i} is 字符串 and 🎭. `,
);

/** An app of 0.3, with a stream for everything that a stream may be there. */
async function writeWithPublished() {
  const t = appWith(published);
  const streaming = new Published(persistentTextStreaming);
  type PublishedId = Awaited<ReturnType<typeof streaming.createStream>>;

  const create = () =>
    t.mutation((ctx) => streaming.createStream(ctx as never));
  const add = (streamId: PublishedId, text: string) =>
    t.mutation(lib.addChunk, { streamId, text, final: false });
  const end = (streamId: PublishedId, status: "error" | "timeout") =>
    t.mutation(lib.setStreamStatus, { streamId, status });

  const ids = {
    pending: await create(),
    streaming: await create(),
    written: await create(),
    done: await create(),
    error: await create(),
    timeout: await create(),
    empty: await create(),
  };
  // The rows of streams that are written at the same time alternate.
  for (const sentence of sentences) {
    await add(ids.streaming, sentence);
    if (sentence.includes("7")) await add(ids.written, sentence);
  }
  await t.action(async (ctx) => {
    const response = await streaming.stream(
      ctx as never,
      new Request("https://happy-animal-123.convex.site"),
      ids.done,
      async (_ctx, _request, _streamId, append) => {
        for (const token of [
          "Hello. ",
          "你好。",
          "How are",
          " you",
          "?",
          " !",
        ]) {
          await append(token);
        }
      },
    );
    return response.text();
  });
  await add(ids.error, "It broke o");
  await end(ids.error, "error");
  await add(ids.timeout, "It went aw");
  await end(ids.timeout, "timeout");
  await t.mutation(lib.addChunk, {
    streamId: ids.empty,
    text: "",
    final: true,
  });

  const bodies = new Map<string, { text: string; status: string }>();
  for (const id of Object.values(ids)) {
    bodies.set(id, await t.query((ctx) => streaming.getStreamBody(ctx, id)));
  }
  const rows = await t.query(persistentTextStreaming.backup.takeOut, {});
  return { ids, bodies, rows };
}

/** The same rows under this version, created when they were created. */
async function upgrade() {
  const before = await writeWithPublished();
  const t = appWith(component);
  const ids = new Map<unknown, string>();
  const putIn = async (table: string, document: GenericDocument) => {
    const { _id, _creationTime, ...row } = document;
    vi.setSystemTime(Math.floor(_creationTime as number));
    ids.set(
      _id,
      await t.mutation(persistentTextStreaming.backup.putIn, { table, row }),
    );
  };
  for (const stream of before.rows.streams) await putIn("streams", stream);
  for (const chunk of before.rows.chunks) {
    await putIn("chunks", {
      ...chunk,
      streamId: ids.get(chunk.streamId) ?? "",
    });
  }
  const moved = Object.fromEntries(
    Object.entries(before.ids).map(([name, id]) => [name, ids.get(id)]),
  ) as Record<keyof typeof before.ids, StreamId>;
  return { t, before, ids: moved };
}

const streaming = new PersistentTextStreaming(persistentTextStreaming);
const bodyOf = (t: App, id: StreamId) =>
  t.query((ctx) => streaming.getStreamBody(ctx, id));
const chunks = async (t: App) =>
  (await t.query(persistentTextStreaming.backup.takeOut, {})).chunks;
const write = (t: App, id: StreamId, text: string) =>
  t.action(async (ctx) => {
    const response = await streaming.stream(
      ctx,
      new Request("https://happy-animal-123.convex.site"),
      id,
      async function* () {
        yield await Promise.resolve(text);
      },
    );
    return { status: response.status, text: await response.text() };
  });

beforeEach(() => {
  vi.useFakeTimers({ toFake: ["Date"] });
});
afterEach(() => {
  vi.useRealTimers();
});

test("every stream has its text and status", async () => {
  const { t, before, ids } = await upgrade();
  const statuses = [];
  for (const [name, id] of Object.entries(ids)) {
    const body = await bodyOf(t, id);
    const { [name as keyof typeof ids]: oldId } = before.ids;
    expect(body).toEqual(before.bodies.get(oldId));
    expect(await t.query(lib.getStreamText, { streamId: id })).toEqual(body);
    statuses.push(body.status);
  }
  expect(new Set(statuses)).toEqual(
    new Set(["pending", "streaming", "done", "error", "timeout"]),
  );
  expect((await bodyOf(t, ids.streaming)).text).toBe(sentences.join(""));
});

test("followers read old text from any offset", async () => {
  const { t, ids } = await upgrade();
  const text = sentences.join("");
  for (const from of [0, 1, 500, 5000, text.length]) {
    const page = await t.query((ctx) =>
      streaming.getStreamBody(ctx, ids.streaming, from),
    );
    expect(page.text).toBe(text.slice(page.from));
    expect(from - page.from).toBeLessThan(2);
  }
});

test("a stream that was being written continues", async () => {
  const { t, ids } = await upgrade();
  const streamId = ids.streaming;
  await t.mutation(lib.addChunk, { streamId, text: "More. ", final: false });
  await t.mutation(lib.addChunk, { streamId, text: "The end.", final: true });
  expect(await bodyOf(t, streamId)).toEqual({
    text: sentences.join("") + "More. The end.",
    status: "done",
  });
});

test("a pending stream is claimed and written, a started one is not", async () => {
  const { t, ids } = await upgrade();
  expect(await write(t, ids.pending, "New.")).toEqual({
    status: 200,
    text: "New.",
  });
  expect(await bodyOf(t, ids.pending)).toEqual({
    text: "New.",
    status: "done",
  });
  for (const id of [ids.streaming, ids.done, ids.error, ids.timeout]) {
    expect(await write(t, id, "New.")).toEqual({ status: 205, text: "" });
  }
});

test("pending and live streams time out, with their text", async () => {
  const { t, ids } = await upgrade();
  vi.setSystemTime(Date.now() + 21 * MINUTE);
  const streamId = ids.written;
  await t.mutation(lib.addChunk, { streamId, text: "Alive.", final: false });
  await t.mutation(lib.cleanupExpiredStreams, {});
  expect(await bodyOf(t, ids.pending)).toEqual({ text: "", status: "timeout" });
  expect(await bodyOf(t, ids.streaming)).toEqual({
    text: sentences.join(""),
    status: "timeout",
  });
  expect((await bodyOf(t, ids.written)).status).toBe("streaming");
  expect((await bodyOf(t, ids.done)).status).toBe("done");
});

test("every stream can be deleted, also one whose deletion 0.3 had begun", async () => {
  const { t, ids } = await upgrade();
  const others = (await chunks(t)).filter((c) => c.streamId !== ids.streaming);
  vi.useFakeTimers();
  await t.mutation(lib._deleteChunksPage, {
    streamId: ids.streaming,
    cursor: null,
  });
  await t.finishAllScheduledFunctions(vi.runAllTimers);
  expect(await chunks(t)).toEqual(others);
  for (const id of Object.values(ids)) {
    await t.mutation((ctx) => streaming.deleteStream(ctx, id));
    await t.finishAllScheduledFunctions(vi.runAllTimers);
    expect((await bodyOf(t, id)).status).toBe("error");
  }
  expect(await chunks(t)).toEqual([]);
});
