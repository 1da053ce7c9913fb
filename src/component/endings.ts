/**
 * How streams end.
 *
 * `endStream` makes a status final, no matter what ended the stream, then runs the
 * app's `onComplete` in the same transaction. The callback is looked up and removed
 * before it runs, so it can never run twice.
 *
 * It runs inside `runCallback`, a mutation of the component, because Convex checks a
 * function's `returns` after its writes. An error there can be caught one level up,
 * but only the level above that rolls back the writes. A failure that can be caught
 * leaves a row saying what is owed. That has to be an insert: after a failure,
 * everything the callback read and scheduled still counts against the limits of the
 * transaction.
 *
 * Some failures cannot be caught: a second of JavaScript, memory, a conflict at
 * commit. They also undo the ending. So a writer then ends its stream with `owe`,
 * which only leaves the row. The check that ends dead streams does the same. A stop
 * or a deletion is the app's own transaction, which fails without changing anything.
 *
 * Owed callbacks run one by one, each in the transaction that deletes its row.
 */
import type { FunctionHandle } from "convex/server";
import { v, type Infer } from "convex/values";
import type { FinalStatus, StreamError } from "../shared.js";
import { internal } from "./_generated/api.js";
import type { Doc } from "./_generated/dataModel.js";
import { internalMutation, type MutationCtx } from "./_generated/server.js";
import { planCheck } from "./deadlines.js";
import type { vOutcome } from "./schema.js";
import { errorOf } from "./streams.js";
import { packLater } from "./text.js";

type Outcome = Infer<typeof vOutcome>;

/**
 * How long (ms) a stream that was ended from outside drains. Its writer notices the
 * end within about a second, and then saves what it has appended.
 */
const DRAIN_MS = 15_000;

const MINUTE_MS = 60 * 1000;
/**
 * How long (ms) to wait before each attempt to run an owed callback: five attempts
 * within a day.
 */
const RETRY_AFTER_MS = [1, 5, 30, 4 * 60, 12 * 60].map((m) => m * MINUTE_MS);
/** How long (ms) after its last attempt a callback is dropped. */
const GIVE_UP_AFTER_MS = 5 * MINUTE_MS;
/**
 * How many owed callbacks one check handles. With contexts of at most 64 KiB, they
 * are far below what a mutation may read.
 */
const CALLBACKS_AT_ONCE = 50;

/** How a stream ends. */
export interface Ending {
  status: FinalStatus;
  error?: StreamError | undefined;
  result?: unknown;
  /** The length of the text; undefined if only counting rows of version 0.3 would tell. */
  length: number | undefined;
  /** Whether its writer may still save last words. */
  drains?: boolean;
  /** Leave the callback for later: it failed in a way that cannot be caught. */
  owe?: boolean | undefined;
}

/** Ends a live stream. The callback comes last, so the text must already be saved and packed. */
export async function endStream(
  ctx: MutationCtx,
  stream: Doc<"streams">,
  { status, error, result, length, drains = false, owe = false }: Ending,
): Promise<void> {
  const streamId = stream._id;
  const isFirstText = stream.status === "pending" && (length ?? 0) > 0;
  await ctx.db.patch(streamId, {
    ...(isFirstText ? { firstTextAt: Date.now() } : {}),
    status,
    error,
    result,
    length,
    endedAt: Date.now(),
    deadline: undefined,
    expiring: undefined,
    callback: undefined,
    formerWriters: undefined,
    ...(drains ? {} : { writer: undefined }),
  });
  const reason = errorOf({ status, error });
  await complete(
    ctx,
    stream,
    { streamId, status, error: reason, result, length: length ?? 0 },
    owe,
  );
}

/**
 * Ends a stream before its writer does. A live writer will notice, and save what it
 * has appended by then.
 */
export async function endFromOutside(
  ctx: MutationCtx,
  stream: Doc<"streams">,
  newest: Doc<"chunks"> | null,
  status: FinalStatus,
  options: { owe?: boolean } = {},
): Promise<void> {
  const { _id: streamId, writer } = stream;
  const drains = writer !== undefined;
  if (drains) {
    // The writer may be dead, so readers must not wait for it forever.
    const { close } = internal.lib;
    await ctx.scheduler.runAfter(DRAIN_MS, close, { streamId });
  }
  const isOnlyChunk = (newest?.start ?? 0) === 0;
  if (!isOnlyChunk) await packLater(ctx, streamId);
  const error = status === "error" ? stream.error : undefined;
  const length = lengthAt(newest);
  await endStream(ctx, stream, { status, error, length, drains, ...options });
}

/** Runs the `onComplete` of a live stream that was deleted. */
export async function completeDeleted(
  ctx: MutationCtx,
  stream: Doc<"streams">,
  newest: Doc<"chunks"> | null,
): Promise<void> {
  const length = lengthAt(newest) ?? 0;
  const streamId = stream._id;
  await complete(ctx, stream, { streamId, status: "deleted", length }, false);
}

/** The end of the text; undefined if the newest chunk is a row of version 0.3. */
function lengthAt(newest: Doc<"chunks"> | null): number | undefined {
  if (newest === null) return 0;
  if (newest.start === undefined) return undefined;
  return newest.start + newest.text.length;
}

async function complete(
  ctx: MutationCtx,
  stream: Doc<"streams">,
  outcome: Outcome,
  owe: boolean,
): Promise<void> {
  if (stream.callback === undefined) return;
  const callback = await ctx.db.get(stream.callback);
  if (callback === null) return;
  await ctx.db.delete(callback._id);
  const { handle, name } = callback;
  const context = callback.context as unknown;
  if (!owe) {
    try {
      const args = argsOf(outcome, context);
      await ctx.runMutation(internal.endings.runCallback, { handle, args });
      return;
    } catch (error) {
      console.error(
        `onComplete ${name} of stream ${stream._id} failed. The stream has ended (${outcome.status}); the callback will be run again by itself.`,
        error,
      );
    }
  }
  const dueAt = Date.now() + (RETRY_AFTER_MS[0] ?? 0);
  await ctx.db.insert("callbacks", {
    handle,
    name,
    context,
    owed: outcome,
    attempts: 0,
    dueAt,
  });
  try {
    await planCheck(ctx, dueAt);
  } catch {
    // The callback has read or scheduled everything that one transaction may. The
    // check that was planned for the stream itself, or the cron, finds the row.
  }
}

function argsOf(outcome: Outcome, context: unknown) {
  return context === undefined ? outcome : { ...outcome, context };
}

/** Runs an app's callback. If it fails, all its writes are rolled back. */
export const runCallback = internalMutation({
  args: { handle: v.string(), args: v.any() },
  returns: v.null(),
  handler: async (ctx, { handle, args }) => {
    await ctx.runMutation(handle as FunctionHandle<"mutation">, args);
    return null;
  },
});

/**
 * Starts the owed callbacks that are due, and drops those that failed too often.
 *
 * @returns Whether there may be more.
 */
export async function runDueCallbacks(ctx: MutationCtx): Promise<boolean> {
  const due = await ctx.db
    .query("callbacks")
    .withIndex("byDue", (q) => q.gt("dueAt", 0).lte("dueAt", Date.now()))
    .take(CALLBACKS_AT_ONCE);
  for (const { _id: callback, name, owed, attempts = 0 } of due) {
    if (attempts >= RETRY_AFTER_MS.length) {
      console.error(
        `onComplete ${name} of stream ${owed?.streamId} has failed ${attempts} times and is not run again. Its row ${callback} in the component's table "callbacks" says what it was to be told.`,
      );
      await ctx.db.patch(callback, { dueAt: undefined });
      continue;
    }
    const wait = RETRY_AFTER_MS[attempts + 1] ?? GIVE_UP_AFTER_MS;
    const next = { attempts: attempts + 1, dueAt: Date.now() + wait };
    await ctx.db.patch(callback, next);
    await ctx.scheduler.runAfter(0, internal.endings.runOwed, { callback });
  }
  return due.length === CALLBACKS_AT_ONCE;
}

/** Runs an owed callback. If it fails, its row stays for the next attempt. */
export const runOwed = internalMutation({
  args: { callback: v.id("callbacks") },
  returns: v.null(),
  handler: async (ctx, { callback }) => {
    const row = await ctx.db.get(callback);
    if (row?.owed === undefined) return null;
    await ctx.db.delete(callback);
    await ctx.runMutation(
      row.handle as FunctionHandle<"mutation">,
      argsOf(row.owed, row.context),
    );
    return null;
  },
});
