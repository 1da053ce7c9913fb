/**
 * Signs of life, and the checks for them.
 *
 * A live stream has a `deadline`, which every sign of life moves. A save moves it
 * only if less than three quarters of the time are left, so most saves leave the
 * stream's document alone. A stream past its deadline ends.
 *
 * While streams live, one check is planned for the earliest deadline. It plans the
 * next one, or none if nothing lives. `checks` has a row for each planned check.
 * Creating a stream reads the first row, and writes one only if no check is planned
 * in time, which happens only on an idle deployment. So streams created at the same
 * time do not conflict. If a check is ever lost, the hourly cron replaces it.
 */
import { v } from "convex/values";
import { isFinal } from "../shared.js";
import { internal } from "./_generated/api.js";
import type { Doc } from "./_generated/dataModel.js";
import { internalMutation, type MutationCtx } from "./_generated/server.js";
import { endFromOutside, runDueCallbacks } from "./endings.js";
import { timeoutOf } from "./streams.js";
import { documentSize, Tally, type ReadLimit, newestChunk } from "./text.js";

const MINUTE_MS = 60 * 1000;

/**
 * How long (ms) after the earliest deadline its check runs, so that deadlines close
 * together share one.
 */
const CHECK_DELAY_MS = 30 * 1000;
/**
 * A check this long (ms) after a deadline is early enough for a stream to end within
 * a minute of it.
 */
const CHECK_SLACK_MS = 45 * 1000;
/**
 * The latest time (ms) of the first check on an idle deployment, so that it also
 * covers the claim that follows a creation.
 */
const FIRST_CHECK_MS = 2 * MINUTE_MS;
/** How late (ms) a planned check may be before it counts as lost. */
const OVERDUE_MS = MINUTE_MS;
/** How long (ms) a dead stream with an `onComplete` has to end in its own mutation. */
const EXPIRY_MS = MINUTE_MS;

/**
 * The most that one check reads: streams, and the bytes of their newest chunks. Rows
 * of version 0.3 may have 1 MiB each.
 */
const CHECK_LIMIT: ReadLimit = { bytes: 8 * 1024 * 1024, documents: 50 };

/** The deadline of a stream that shows a sign of life now. */
export function nextDeadline(stream: Partial<Doc<"streams">>): number {
  return Date.now() + timeoutOf(stream);
}

/**
 * Updates a live stream's document after a save: `pending` becomes `streaming`, and
 * the deadline moves. Usually there is nothing to change.
 */
export async function noteSave(
  ctx: MutationCtx,
  stream: Doc<"streams">,
): Promise<void> {
  const { _id, status, firstTextAt, expiring, deadline = 0 } = stream;
  const timeoutMs = timeoutOf(stream);
  const changes: Partial<Doc<"streams">> = {};
  if (status === "pending") {
    changes.status = "streaming";
    changes.firstTextAt = firstTextAt ?? Date.now();
  }
  if (deadline - Date.now() < 0.75 * timeoutMs || expiring === true) {
    changes.deadline = Date.now() + timeoutMs;
    changes.expiring = undefined;
  }
  if (Object.keys(changes).length > 0) await ctx.db.patch(_id, changes);
}

/** Makes sure that a check runs within a minute of `deadline`. */
export async function planCheck(
  ctx: MutationCtx,
  deadline: number,
  latest = Date.now() + FIRST_CHECK_MS,
): Promise<void> {
  const planned = await ctx.db
    .query("checks")
    .withIndex("byTime", (q) =>
      q.gt("at", Date.now() - OVERDUE_MS).lte("at", deadline + CHECK_SLACK_MS),
    )
    .first();
  if (planned !== null) return;
  const at = Math.min(deadline + CHECK_DELAY_MS, latest);
  await ctx.scheduler.runAt(at, internal.deadlines.plannedCheck, { at });
  await ctx.db.insert("checks", { at });
}

const liveStatuses = ["pending", "streaming"] as const;
type LiveStatus = (typeof liveStatuses)[number];

/**
 * Ends the streams whose deadline has passed, runs the callbacks that are due, and
 * plans the next check. Everything it handles leaves the range it reads, so the next
 * run continues where this one stopped.
 */
export async function check(
  ctx: MutationCtx,
  ends: readonly LiveStatus[] = liveStatuses,
): Promise<void> {
  const read = new Tally();
  for (const status of ends) {
    const overdue = await ctx.db
      .query("streams")
      // Streams of version 0.3 have no deadline, and sort first.
      .withIndex("byDeadline", (q) =>
        q.eq("status", status).lte("deadline", Date.now()),
      )
      .take(CHECK_LIMIT.documents);
    for (const stream of overdue) {
      const newest = await newestChunk(ctx.db, stream._id);
      await checkStream(ctx, stream, newest);
      read.add(documentSize(newest?.text ?? ""));
      if (read.reaches(CHECK_LIMIT)) return checkAgain(ctx);
    }
  }
  if (await runDueCallbacks(ctx)) return checkAgain(ctx);
  await planNextCheck(ctx, ends);
}

async function checkAgain(ctx: MutationCtx): Promise<void> {
  await ctx.scheduler.runAfter(0, internal.lib.cleanupExpiredStreams, {});
}

async function checkStream(
  ctx: MutationCtx,
  stream: Doc<"streams">,
  newest: Doc<"chunks"> | null,
): Promise<void> {
  const { _id: streamId, expiring } = stream;
  const deadline = lastSignOfLife(stream, newest) + timeoutOf(stream);
  if (deadline > Date.now()) {
    await ctx.db.patch(streamId, { deadline, expiring: undefined });
  } else if (stream.callback === undefined || expiring === true) {
    // Its callback failed before in a way that cannot be caught.
    await endDead(ctx, stream, newest, { owe: true });
  } else {
    const retryAt = Date.now() + EXPIRY_MS;
    await ctx.db.patch(streamId, { deadline: retryAt, expiring: true });
    await ctx.scheduler.runAfter(0, internal.deadlines.expire, { streamId });
  }
}

/** A check that `planCheck` has planned. In an app's tests, `register()` puts another in its place. */
export const plannedCheck = internalMutation({
  args: { at: v.number() },
  returns: v.null(),
  handler: async (ctx, { at }) => {
    // This check is done, even if the clock was set back and its time has yet to come.
    await forgetChecks(ctx, at);
    await check(ctx);
    return null;
  },
});

/**
 * Ends a dead stream and runs its `onComplete`. If the callback makes this mutation
 * fail, other streams are not affected.
 */
export const expire = internalMutation({
  args: { streamId: v.id("streams") },
  returns: v.null(),
  handler: async (ctx, { streamId }) => {
    const stream = await ctx.db.get(streamId);
    // It may have ended or shown a sign of life.
    if (stream === null || isFinal(stream.status) || !stream.expiring) {
      return null;
    }
    await endDead(ctx, stream, await newestChunk(ctx.db, streamId));
    return null;
  },
});

/** If the last writer left the stream open for another, it ends with that writer's error. */
async function endDead(
  ctx: MutationCtx,
  stream: Doc<"streams">,
  newest: Doc<"chunks"> | null,
  options?: { owe: boolean },
): Promise<void> {
  const status = stream.error === undefined ? "timeout" : "error";
  await endFromOutside(ctx, stream, newest, status, options);
}

/** The last sign of life of a stream whose deadline has passed, apart from the deadline itself. */
function lastSignOfLife(
  stream: Doc<"streams">,
  newest: Doc<"chunks"> | null,
): number {
  return Math.max(
    stream._creationTime,
    stream.claimedAt ?? 0,
    newest?._creationTime ?? 0,
    newest?.savedAt ?? 0,
  );
}

async function planNextCheck(
  ctx: MutationCtx,
  ends: readonly LiveStatus[],
): Promise<void> {
  await forgetChecks(ctx, Date.now());
  const deadline = await earliestDeadline(ctx, ends);
  if (deadline !== undefined) await planCheck(ctx, deadline, Infinity);
}

/** Deletes the rows of the checks planned until then. */
async function forgetChecks(ctx: MutationCtx, until: number): Promise<void> {
  const past = ctx.db
    .query("checks")
    .withIndex("byTime", (q) => q.lte("at", until));
  for await (const { _id } of past) await ctx.db.delete(_id);
}

/** The time of the next deadline or the next callback. */
async function earliestDeadline(
  ctx: MutationCtx,
  ends: readonly LiveStatus[],
): Promise<number | undefined> {
  const times: number[] = [];
  for (const status of ends) {
    const stream = await ctx.db
      .query("streams")
      .withIndex("byDeadline", (q) => q.eq("status", status))
      .first();
    if (stream?.deadline !== undefined) times.push(stream.deadline);
  }
  const callback = await ctx.db
    .query("callbacks")
    .withIndex("byDue", (q) => q.gt("dueAt", 0))
    .first();
  if (callback?.dueAt !== undefined) times.push(callback.dueAt);
  return times.length === 0 ? undefined : Math.min(...times);
}
