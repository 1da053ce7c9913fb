/// <reference types="vite/client" />
import schema from "../../src/component/schema.js";
import { convexTest } from "convex-test";
import { getFunctionName, type FunctionReference } from "convex/server";
import {
  PersistentTextStreaming,
  type StreamId,
} from "../../src/client/index.js";
import { api, internal } from "../../src/component/_generated/api.js";
import type { ComponentApi } from "../../src/component/_generated/component.js";
import { type StreamStatus, isFinal } from "../../src/shared.js";
import { Action } from "./action.js";
import type { LabClock } from "./lab-clock.js";
import type { Happenings } from "./happenings.js";
import type { ActionPlan, Schedule } from "./schedule.js";

/** What the database said of the stream right after a mutation. */
export interface Change {
  /** When (ms, by the clock that never jumps; and what Date.now() said). */
  at: number;
  wall: number;
  /** The action that asked for it; null for the app's own. */
  by: Action | null;
  what: string;
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

const loaders = import.meta.glob("../../src/component/**/*.ts");
/** Loaded once: what a test of `import.meta.glob` would cost is paid for by every call. */
const loaded = Object.entries(loaders).map(
  async ([path, load]) => [path, await load()] as const,
);

/** The component on a deployment with one stream. Nothing is forgotten of what happens to it. */
export class Deployment {
  readonly streaming: PersistentTextStreaming;
  readonly changes: Change[] = [];
  readonly actions: Action[] = [];
  /** Called after each mutation. */
  readonly listeners = new Set<() => void>();
  streamId = "" as StreamId;
  createdAt = 0;

  private constructor(
    readonly clock: LabClock,
    readonly happenings: Happenings,
    private readonly t: ReturnType<typeof convexTest<typeof schema.tables>>,
    flush: Schedule["flush"],
  ) {
    // By the same names as in an app: a deployment takes them for references all the same.
    const component = api as unknown as ComponentApi;
    this.streaming = new PersistentTextStreaming(component, { flush });
  }

  static async create(
    clock: LabClock,
    happenings: Happenings,
    { flush, lateness }: Pick<Schedule, "flush" | "lateness">,
  ): Promise<Deployment> {
    const modules = Object.fromEntries(
      (await Promise.all(loaded)).map(([path, module]) => [
        path,
        () => Promise.resolve(module),
      ]),
    );
    const t = convexTest({ schema, modules, transactionLimits: true });
    const deployment = new Deployment(clock, happenings, t, flush);
    let scheduled = 0;
    clock.lateness = () => {
      const late = lateness[scheduled++ % lateness.length] ?? 0;
      if (late > 0) happenings.add("scheduled function late");
      return late;
    };
    deployment.streamId = await deployment.streaming.createStream(
      deployment.app,
    );
    deployment.createdAt = clock.now();
    clock.afterScheduled = () => deployment.lookAfterScheduled();
    return deployment;
  }

  /** The `ctx` of the app's own mutations and queries, which nothing happens to. */
  get app() {
    return {
      runMutation: (reference: Reference, args: Args) =>
        this.mutate(reference, args, null),
      runQuery: (reference: Reference, args: Args) =>
        this.query(reference, args),
    } as unknown as Pick<
      Parameters<PersistentTextStreaming["generate"]>[0],
      "runMutation" | "runQuery"
    >;
  }

  query(reference: Reference, args: Args): Promise<unknown> {
    return this.clock.asNobody(() =>
      this.t.query(reference as FunctionReference<"query">, args),
    );
  }

  /** Mutations go one after the other, and with each the stream is looked at. */
  private queue: Promise<unknown> = Promise.resolve();
  mutate(
    reference: Reference,
    args: Args,
    by: Action | null,
  ): Promise<unknown> {
    const mutation = this.clock.asNobody(() =>
      this.queue.then(async () => {
        const result: unknown = await this.t.mutation(
          reference as FunctionReference<"mutation">,
          args,
        );
        if (this.streamId !== "") {
          await this.look(getFunctionName(reference), by, args);
        }
        return result;
      }),
    );
    this.queue = mutation.catch(() => {});
    return mutation;
  }

  private async look(
    name: string,
    by: Action | null,
    args: Args = {},
  ): Promise<void> {
    this.changes.push({
      at: this.clock.time,
      wall: this.clock.now(),
      by,
      what: name.replace("lib:", ""),
      empty: args["text"] === "",
      final: args["final"] !== undefined,
      tail: await this.t.query(api.lib.tail, { streamId: this.streamId }),
    });
    for (const listener of this.listeners) listener();
  }

  /** Scheduled functions end streams that have died, and pack those that have ended. */
  private lookAfterScheduled(): void {
    this.queue = this.queue.then(() => this.look("scheduled", null));
  }

  /** What the last mutation left. */
  get tail(): Change["tail"] | undefined {
    return this.changes.at(-1)?.tail;
  }

  get isOver(): boolean {
    const { tail } = this;
    return tail === null || (tail !== undefined && isFinal(tail.status));
  }

  cron(): Promise<unknown> {
    return this.mutate(internal.lib.cleanupExpiredStreams, {}, null);
  }

  /** A new execution of an action. */
  action(plan: ActionPlan): Action {
    const action = new Action(this, plan);
    this.actions.push(action);
    return action;
  }

  /** Everything that is stored, with the scheduled functions that did not succeed. */
  stored() {
    return this.t.run(async (ctx) => ({
      stream: (await ctx.db.query("streams").collect())[0] ?? null,
      chunks: await ctx.db.query("chunks").withIndex("byStream").collect(),
      unfinished: (
        await ctx.db.system.query("_scheduled_functions").collect()
      ).filter(
        // A check may be planned for later.
        ({ name, state: { kind } }) =>
          kind !== "success" &&
          !(kind === "pending" && name === "deadlines:plannedCheck"),
      ),
    }));
  }
}
