/// <reference types="vite/client" />
import schema from "../../src/component/schema.js";
import { convexTest } from "convex-test";
import {
  defineSchema,
  defineTable,
  getFunctionName,
  internalMutationGeneric,
  makeFunctionReference,
  type FunctionReference,
  type GenericDataModel,
  type GenericMutationCtx,
} from "convex/server";
import { v } from "convex/values";
import {
  PersistentTextStreaming,
  vOnCompleteArgs,
  type OnCompleteArgs,
  type StreamId,
} from "../../src/client/index.js";
import { api, internal } from "../../src/component/_generated/api.js";
import type { ComponentApi } from "../../src/component/_generated/component.js";
import {
  type StreamBody,
  type StreamStatus,
  isFinal,
} from "../../src/shared.js";
import type { Action } from "./action.js";
import type { LabClock } from "./lab-clock.js";
import type { Schedule } from "./schedule.js";

/** The `context` of the app's `onComplete`. */
export const CONTEXT = "message 1";

/** The state of the stream right after a mutation. */
export interface Change {
  /** When (ms): by the clock that never jumps, and by `Date.now()`. */
  at: number;
  wall: number;
  /** The action that called it; null for the app's own calls. */
  by: Action | null;
  what: string;
  args: Args;
  /** Who held the claim afterwards. */
  holder: Action | null;
  /** Null: the stream is gone. */
  tail: { offset: number; status: StreamStatus; draining: boolean } | null;
}

export type Reference = FunctionReference<
  "query" | "mutation",
  "public" | "internal"
>;
export type Args = Record<string, unknown>;

/** Loaded already, because every call would pay for a lazy import. */
const loaded = Object.entries(
  import.meta.glob("../../src/component/**/*.ts", { eager: true }),
).map(([path, module]) => [path, () => Promise.resolve(module)] as const);

/** `ends` belongs to the app: one row for each end that its `onComplete` has counted. */
const schemaOfApp = defineSchema({
  ...schema.tables,
  ends: defineTable({ call: v.number() }),
});

/** A deployment with one stream, and a record of everything that happens to it. */
export class Deployment {
  readonly streaming: PersistentTextStreaming;
  readonly changes: Change[] = [];
  readonly actions: Action[] = [];
  /** Called after each mutation. */
  readonly listeners = new Set<() => void>();
  /** What each call of `onComplete` was told and read, including those that were rolled back. */
  readonly told: ({ isLater: boolean; args: OnCompleteArgs } & StreamBody)[] =
    [];
  /** The actions that claimed the stream, in order. */
  readonly holders: { action: Action | null; at: number }[] = [];
  streamId = "" as StreamId;
  createdAt = 0;
  /** Whether the running transaction fails, no matter what it catches. */
  private isDoomed = false;
  private queue: Promise<unknown> = Promise.resolve();
  private readonly t = convexTest({
    schema: schemaOfApp,
    modules: {
      ...Object.fromEntries(loaded),
      "../../src/component/app.ts": () =>
        Promise.resolve({ onEnd: this.onEnd }),
    },
    transactionLimits: true,
  });

  constructor(
    readonly clock: LabClock,
    private readonly schedule: Schedule,
  ) {
    const { flush, lateness } = schedule;
    const component = api as unknown as ComponentApi;
    this.streaming = new PersistentTextStreaming(component, { flush });
    let scheduled = 0;
    clock.lateness = () => lateness[scheduled++ % lateness.length] ?? 0;
    // Scheduled functions time streams out, and pack them.
    clock.afterScheduled = () => {
      void this.inTurn(() => this.record("scheduled", null));
    };
  }

  async createStream(): Promise<void> {
    const onComplete = makeFunctionReference<"mutation">("app:onEnd") as never;
    const isTold = this.schedule.callback !== null;
    const options = isTold ? { onComplete, context: CONTEXT } : {};
    this.streamId = await this.t.mutation((ctx) =>
      this.streaming.createStream(ctx, options),
    );
    this.createdAt = Date.now();
  }

  /** The `ctx` of the app's own mutations and queries, which always work. */
  readonly app = {
    runMutation: (reference: Reference, args: Args) =>
      this.mutate(reference, args, null),
    runQuery: (reference: Reference, args: Args) => this.query(reference, args),
  } as unknown as Pick<
    Parameters<PersistentTextStreaming["generate"]>[0],
    "runMutation" | "runQuery"
  >;

  query(reference: Reference, args: Args): Promise<unknown> {
    const query = reference as FunctionReference<"query">;
    return this.inTurn(() => this.t.query(query, args));
  }

  /** Runs a mutation, and records the state of the stream after it. */
  mutate(
    reference: Reference,
    args: Args,
    by: Action | null,
  ): Promise<unknown> {
    const { clock, t, holders } = this;
    const mutation = reference as FunctionReference<"mutation">;
    const inDanger = async (
      ctx: Pick<GenericMutationCtx<GenericDataModel>, "runMutation">,
    ) => {
      const result: unknown = await ctx.runMutation(mutation, args);
      if (this.isDoomed) throw new Error("It took over a second.");
      return result;
    };
    const mayDoom = this.schedule.callback?.includes("cannot be caught");
    return this.inTurn(async () => {
      this.isDoomed = false;
      const result: unknown = mayDoom
        ? await t.mutation(inDanger)
        : await t.mutation(mutation, args);
      const { claimed } = Object(result) as { claimed?: boolean };
      if (claimed && holders.at(-1)?.action !== by) {
        holders.push({ action: by, at: clock.time });
      }
      await this.record(getFunctionName(reference), by, args);
      return result;
    });
  }

  /** One after the other, so a query returns nothing that has not been recorded. */
  private inTurn<T>(run: () => Promise<T>): Promise<T> {
    const done = this.clock.asNobody(() => this.queue.then(run));
    this.queue = done.catch(() => {});
    return done;
  }

  private async record(
    name: string,
    by: Action | null,
    args: Args = {},
  ): Promise<void> {
    const { clock, changes, holders, streamId, t } = this;
    const tail = await t.query(api.lib.tail, { streamId });
    const what = name.replace("lib:", "");
    const holder = holders.at(-1)?.action ?? null;
    const times = { at: clock.time, wall: Date.now() };
    changes.push({ ...times, by, what, args, holder, tail });
    for (const listener of this.listeners) listener();
  }

  /** The stream after the last mutation. */
  get tail(): Change["tail"] | undefined {
    return this.changes.at(-1)?.tail;
  }

  get isOver(): boolean {
    const { tail } = this;
    return tail === null || (tail !== undefined && isFinal(tail.status));
  }

  /** The app's `onComplete`: it counts the end, and then does what is planned. */
  private readonly onEnd = internalMutationGeneric({
    args: vOnCompleteArgs(v.string()),
    returns: v.null(),
    handler: async (ctx: GenericMutationCtx<GenericDataModel>, args) => {
      const { told, streaming, schedule } = this;
      const call = told.length;
      const { streamId } = args;
      const body = await streaming.getStreamBody(ctx, streamId);
      // The transaction that ends the stream is not over yet.
      told.push({ isLater: this.isOver, args, ...body });
      await ctx.db.insert("ends", { call });
      const act = schedule.callback?.[call] ?? "works";
      switch (act) {
        case "works":
          return null;
        case "deletes the stream":
          return streaming.deleteStream(ctx, streamId).then(() => null);
        case "returns rubbish":
          return "rubbish" as unknown as null;
        case "exceeds a limit":
          await ctx.db.insert("ends", { call, more: "x".repeat(2 ** 20) });
          break;
        case "cannot be caught":
          this.isDoomed = true;
      }
      throw new Error("The app's onComplete threw.");
    },
  });

  cron(): Promise<unknown> {
    return this.mutate(internal.lib.cleanupExpiredStreams, {}, null);
  }

  /** Everything that is stored, and the scheduled functions that did not succeed. */
  stored() {
    return this.t.run(async (ctx) => ({
      stream: (await ctx.db.query("streams").collect())[0] ?? null,
      chunks: await ctx.db.query("chunks").withIndex("byStream").collect(),
      ends: await ctx.db.query("ends").collect(),
      callbacks: await ctx.db.query("callbacks").collect(),
      unfinished: (
        await ctx.db.system.query("_scheduled_functions").collect()
      ).filter(
        // A check may be planned for later, and the app's `onComplete` may fail.
        ({ name, state: { kind } }) =>
          kind !== "success" &&
          !(kind === "pending" && name === "deadlines:plannedCheck") &&
          !(kind === "failed" && name === "endings:runOwed"),
      ),
    }));
  }
}
