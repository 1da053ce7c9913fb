/// <reference types="vite/client" />
import schema from "../../src/component/schema.js";
import { convexTest } from "convex-test";
import { expect, vi } from "vitest";
import { api, internal } from "../../src/component/_generated/api.js";
import type { Doc, Id } from "../../src/component/_generated/dataModel.js";
import {
  isFinal,
  type StreamPage,
  type StreamStatus,
} from "../../src/shared.js";
import { vStreamStatus } from "../../src/validators.js";
import { finishDue } from "./clock.js";
import { withLimits } from "./with-limits.js";

export const modules = import.meta.glob("../../src/component/**/*.ts");

export const statuses = vStreamStatus.members.map(({ value }) => value);

/** The component by itself, with the limits of a deployment, and hands on its tables. */
export function setUpComponent() {
  const t = withLimits(
    convexTest({ schema, modules, transactionLimits: true }),
  );

  return {
    t,

    create: () => t.mutation(api.lib.createStream, {}),

    /** A stream as a row, in any state. */
    insertStream: (stream: Partial<Doc<"streams">>) =>
      t.run((ctx) =>
        ctx.db.insert("streams", { status: "pending", ...stream }),
      ),

    /** Chunks as version 0.3 wrote them. */
    insertOldChunks: (streamId: Id<"streams">, texts: string[]) =>
      t.run(async (ctx) => {
        for (const text of texts) {
          await ctx.db.insert("chunks", { streamId, text });
        }
      }),

    /** Chunks that follow one another. */
    insertChunks: (streamId: Id<"streams">, texts: string[], start = 0) =>
      t.run(async (ctx) => {
        for (const text of texts) {
          await ctx.db.insert("chunks", { streamId, start, text });
          start += text.length;
        }
      }),

    /** The chunks of a stream in their order. */
    chunks: (streamId: Id<"streams">) =>
      t.run((ctx) =>
        ctx.db
          .query("chunks")
          .withIndex("byStream", (q) => q.eq("streamId", streamId))
          .collect(),
      ),

    stream: (streamId: Id<"streams">) => t.run((ctx) => ctx.db.get(streamId)),

    /** One of the six, and `error` if there is no such stream. */
    status: async (streamId: string) =>
      (await t.query(api.lib.getStatus, { streamId })) ?? "error",

    /** All the text, and one of the six statuses. */
    text: async (streamId: Id<"streams">) => ({
      text: (await t.query(api.lib.getStreamText, { streamId })).text,
      status: await t.query(api.lib.getStatus, { streamId }),
    }),

    read: (streamId: string, from?: number) =>
      t.query(api.lib.read, { streamId, from }),

    /** Reads a stream from `from` on, page by page. */
    pages: async (streamId: string, from = 0) => {
      const all: StreamPage[] = [];
      for (let position = from; ;) {
        const page = await t.query(api.lib.read, { streamId, from: position });
        if (page === null) throw new Error("There is no such stream.");
        expect(page.from).toBe(position);
        all.push(page);
        if (page.text === "" || isFinal(page.status)) break;
        position = page.from + page.text.length;
      }
      return { pages: all, text: all.map(({ text }) => text).join("") };
    },

    tail: (streamId: string) => t.query(api.lib.tail, { streamId }),

    abort: (streamId: string) => t.mutation(api.lib.abort, { streamId }),

    setStatus: (streamId: Id<"streams">, status: StreamStatus) =>
      t.mutation(api.lib.setStreamStatus, { streamId, status }),

    remove: (streamId: Id<"streams">) =>
      t.mutation(api.lib.deleteStream, { streamId }),

    /** Ends dead streams, as the cron does. */
    cleanUp: () => t.mutation(internal.lib.cleanupExpiredStreams, {}),

    /** Moves the clock to the next timer, and runs what is scheduled for then. */
    runNext: async () => {
      await vi.advanceTimersToNextTimerAsync();
      await t.finishInProgressScheduledFunctions();
    },

    add: (streamId: Id<"streams">, text: string, final = false) =>
      t.mutation(api.lib.addChunk, { streamId, text, final }),

    claim: (streamId: string, writer = "writer") =>
      t.mutation(api.lib.claim, { streamId, writer }),

    append: (
      streamId: Id<"streams">,
      start: number,
      text: string,
      final?: "done" | "error",
      writer = "writer",
    ) => t.mutation(api.lib.append, { streamId, writer, start, text, final }),

    /** How many documents one of these functions reads. */
    documentsRead: async (
      streamId: string,
      from?: number,
      read: unknown = api.lib.read,
    ) => {
      const metrics = await t.query(async (ctx) => {
        await ctx.runQuery(read as typeof api.lib.read, { streamId, from });
        return ctx.meta.getTransactionMetrics();
      });
      return metrics.documentsRead.used;
    },

    /** Lets scheduled functions run to the end, and counts them. Throws if one of them failed. */
    finishScheduled: async () => {
      const jobs = () =>
        t.run((ctx) => ctx.db.system.query("_scheduled_functions").collect());
      await finishDue(t, jobs);
      const run = (await jobs()).filter(
        ({ state }) => state.kind !== "pending",
      );
      const unfinished = run.filter(({ state }) => state.kind !== "success");
      if (unfinished.length > 0) throw new Error(JSON.stringify(unfinished));
      return run.length;
    },
  };
}

export type Component = ReturnType<typeof setUpComponent>;
