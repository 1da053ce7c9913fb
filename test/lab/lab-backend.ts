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
import { type StreamStatus, isFinal } from "../../src/shared.js";
import type { Action } from "./action.js";
import type { LabClock } from "./lab-clock.js";
import type { Schedule } from "./schedule.js";

/** The `context` of the app's `onComplete`. */
export const CONTEXT = "message 1";

/** The state of the stream right after a mutation. */
export interface Change {
  /** When (ms): by the clock that never jumps, and what `Date.now()` said. */
  at: number;
  wall: number;
  /** The action that called it; null for the app's own calls. */
  by: Action | null;
  what: string;
  /** What it returned. */
  result: unknown;
  /** Who held the claim afterwards. */
  holder: Action | null;
  /** Of an `append`: whether it had no text, and whether it was the last. */
  empty: boolean;
  final: boolean;
  /** Null: the stream is gone. */
  tail: { offset: number; status: StreamStatus; draining: boolean } | null;
}

export type Reference = FunctionReference<
  "query" | "mutation",
  "public" | "internal"
>;
export type Args = Record<string, unknown>;

/** Loaded once, because every call would pay for a lazy import. */
const loaded = Object.entries(
  import.meta.glob("../../src/component/**/*.ts"),
).map(async ([path, load]) => [path, await load()] as const);

/** `ends` is the app's: one row per end that its `onComplete` has counted. */
const schemaOfApp = defineSchema({
  ...schema.tables,
  ends: defineTable({ call: v.number() }),
});

/** What `onComplete` was told, and what it read. */
interface Told {
  at: number;
  args: OnCompleteArgs;
  text: string;
  status: StreamStatus;
}

/** A deployment with one stream, and a record of everything that happens to it. */
export class Deployment {
  readonly streaming: PersistentTextStreaming;
  /** What actually went wrong, as opposed to what was planned. */
  readonly happenings = new Set<string>();
  readonly changes: Change[] = [];
  readonly actions: Action[] = [];
  /** Called after each mutation. */
  readonly listeners = new Set<() => void>();
  /** Each call of `onComplete`, including those that were rolled back. */
  readonly told: Told[] = [];
  /** The actions that have claimed the stream, one after the other. */
  readonly holders: { action: Action | null; at: number }[] = [];
  streamId = "" as StreamId;
  createdAt = 0;
  /** Whether the running transaction fails, no matter what it catches. */
  private isDoomed = false;
  private queue: Promise<unknown> = Promise.resolve();

  private constructor(
    readonly clock: LabClock,
    private readonly t: ReturnType<
      typeof convexTest<typeof schemaOfApp.tables>
    >,
    private readonly schedule: Schedule,
  ) {
    const { flush } = schedule;
    const component = api as unknown as ComponentApi;
    this.streaming = new PersistentTextStreaming(component, { flush });
  }

  static async create(
    clock: LabClock,
    schedule: Schedule,
  ): Promise<Deployment> {
    const { lateness, callback } = schedule;
    const modules = Object.fromEntries(
      (await Promise.all(loaded)).map(([path, module]) => [
        path,
        () => Promise.resolve(module),
      ]),
    );
    modules["../../src/component/app.ts"] = () =>
      Promise.resolve({ onEnd: deployment.onEnd(callback ?? []) });
    const t = convexTest({
      schema: schemaOfApp,
      modules,
      transactionLimits: true,
    });
    const deployment = new Deployment(clock, t, schedule);
    let scheduled = 0;
    clock.lateness = () => {
      const late = lateness[scheduled++ % lateness.length] ?? 0;
      if (late > 0) deployment.happenings.add("scheduled function late");
      return late;
    };
    const onComplete = makeFunctionReference<"mutation">("app:onEnd") as never;
    deployment.streamId = await t.mutation((ctx) =>
      deployment.streaming.createStream(
        ctx,
        callback === null ? {} : { onComplete, context: CONTEXT },
      ),
    );
    deployment.createdAt = Date.now();
    // Scheduled functions time streams out, and pack them.
    clock.afterScheduled = () => {
      deployment.queue = deployment.queue.then(() =>
        deployment.record("scheduled", null),
      );
    };
    return deployment;
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
    return this.clock.asNobody(() =>
      this.t.query(reference as FunctionReference<"query">, args),
    );
  }

  /** Mutations run one after the other. The state of the stream is recorded after each. */
  mutate(
    reference: Reference,
    args: Args,
    by: Action | null,
  ): Promise<unknown> {
    const { clock, t, holders } = this;
    const mutation = reference as FunctionReference<"mutation">;
    const mayDoom = this.schedule.callback?.includes("cannot be caught");
    const done = clock.asNobody(() =>
      this.queue.then(async () => {
        this.isDoomed = false;
        const result: unknown = await (!mayDoom
          ? t.mutation(mutation, args)
          : t.mutation(async (ctx) => {
              const result: unknown = await ctx.runMutation(mutation, args);
              if (this.isDoomed) throw new Error("It took over a second.");
              return result;
            }));
        const { claimed } = Object(result) as { claimed?: boolean };
        if (claimed && holders.at(-1)?.action !== by) {
          holders.push({ action: by, at: clock.time });
        }
        await this.record(getFunctionName(reference), by, args, result);
        return result;
      }),
    );
    this.queue = done.catch(() => {});
    return done;
  }

  private async record(
    name: string,
    by: Action | null,
    args: Args = {},
    result: unknown = null,
  ): Promise<void> {
    this.changes.push({
      at: this.clock.time,
      wall: Date.now(),
      by,
      what: name.replace("lib:", ""),
      result,
      holder: this.holders.at(-1)?.action ?? null,
      empty: args["text"] === "",
      final: args["final"] !== undefined,
      tail: await this.t.query(api.lib.tail, { streamId: this.streamId }),
    });
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
  private onEnd(acts: NonNullable<Schedule["callback"]>) {
    return internalMutationGeneric({
      args: vOnCompleteArgs(v.string()),
      returns: v.null(),
      handler: async (ctx: GenericMutationCtx<GenericDataModel>, args) => {
        const { happenings, streaming } = this;
        const call = this.told.length;
        const { streamId } = args;
        const body = await streaming.getStreamBody(ctx, streamId);
        this.told.push({ at: this.clock.time, args, ...body });
        await ctx.db.insert("ends", { call });
        if (call > 0) happenings.add("onComplete run later");
        const act = acts[call] ?? "works";
        if (act === "works") return null;
        if (act === "deletes the stream") {
          happenings.add("onComplete deleted the stream");
          await streaming.deleteStream(ctx, streamId);
          return null;
        }
        happenings.add("onComplete failed");
        if (act === "returns rubbish") return "rubbish" as unknown as null;
        if (act === "exceeds a limit") {
          await ctx.db.insert("ends", { call, more: "x".repeat(2 ** 20) });
        }
        if (act === "cannot be caught") {
          happenings.add("onComplete failed in a way that cannot be caught");
          this.isDoomed = true;
        }
        throw new Error("The app's onComplete threw.");
      },
    });
  }

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
