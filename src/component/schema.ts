import { defineSchema, defineTable } from "convex/server";
import { v } from "convex/values";
import { vStreamStatus, vStreamEnd, vStreamError } from "../shared.js";

/** What an `onComplete` receives, apart from the app's context. */
export const vOutcome = v.object({
  streamId: v.string(),
  status: vStreamEnd,
  error: v.optional(vStreamError),
  result: v.optional(v.any()),
  length: v.number(),
});

/**
 * Every field except `status`, `streamId` and `text` is optional, because rows
 * written by version 0.3 do not have them.
 */
export default defineSchema({
  // Most saves do not patch this document, so a query that shows the statuses of
  // fifty streams does not rerun for every sentence.
  streams: defineTable({
    status: vStreamStatus,
    /** When it was claimed (ms since 1970), if an earlier version did. */
    claimedAt: v.optional(v.number()),
    /**
     * The writer's random name, new for each call of `stream()` or `generate()`.
     * Removed when nothing more can come from it.
     */
    writer: v.optional(v.string()),
    /** Live streams: writers that lost the claim to a take-over or gave it up. A late claim of theirs is refused. */
    formerWriters: v.optional(v.array(v.string())),
    /** How long (ms) a writer may show no sign of life, if not the default. */
    timeoutMs: v.optional(v.number()),
    /** When a live stream counts as dead without a sign of life (ms since 1970). */
    deadline: v.optional(v.number()),
    /** It counts as dead, and a separate mutation has been scheduled to end it. */
    expiring: v.optional(v.boolean()),
    /** When its first text was saved (ms since 1970). */
    firstTextAt: v.optional(v.number()),
    /** When its status became final (ms since 1970). */
    endedAt: v.optional(v.number()),
    /** The length of the text (UTF-16 code units), once the stream has ended. */
    length: v.optional(v.number()),
    /**
     * Why it ended, if its status does not say enough. On a live stream: why its last
     * writer failed.
     */
    error: v.optional(vStreamError),
    /** What the writer returned. */
    result: v.optional(v.any()),
    /** The callback to run when the stream ends. */
    callback: v.optional(v.id("callbacks")),
  })
    .index("byStatus", ["status"])
    .index("byDeadline", ["status", "deadline"]),

  // The text, in pieces that follow each other without gaps. Only the newest piece
  // grows, until it is a page long.
  chunks: defineTable({
    streamId: v.id("streams"),
    text: v.string(),
    /** The offset of its first character. Rows of version 0.3 have none, and sort first. */
    start: v.optional(v.number()),
    /** When text was last added to it (ms since 1970). */
    savedAt: v.optional(v.number()),
  }).index("byStream", ["streamId", "start"]),

  // The `onComplete` callbacks of live streams, and those that failed.
  callbacks: defineTable({
    /** The handle of an internal mutation of the app. */
    handle: v.string(),
    /** Its name, for the log. */
    name: v.string(),
    context: v.optional(v.any()),
    /** Set once the stream has ended and the callback still has to run. */
    owed: v.optional(vOutcome),
    /** How many separate attempts there have been. */
    attempts: v.optional(v.number()),
    /** When it runs next (ms since 1970). Missing: never again. */
    dueAt: v.optional(v.number()),
  }).index("byDue", ["dueAt"]),

  // The planned checks: usually one while streams live.
  checks: defineTable({ at: v.number() }).index("byTime", ["at"]),

  // Deleted streams whose text still has to be deleted.
  deletions: defineTable({
    streamId: v.id("streams"),
    /**
     * When the stream was deleted (ms since 1970): the same for all streams that one
     * mutation deletes.
     */
    at: v.number(),
  }).index("byTime", ["at"]),
});
