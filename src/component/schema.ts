import { defineSchema, defineTable } from "convex/server";
import { v } from "convex/values";
import { vStreamStatus, vStreamEnd, vStreamError } from "../shared.js";

/** What an `onComplete` is told, apart from the app's context. */
export const vOutcome = v.object({
  streamId: v.string(),
  status: vStreamEnd,
  error: v.optional(vStreamError),
  result: v.optional(v.any()),
  length: v.number(),
});

/**
 * Every field beyond `status`, `streamId` and `text` is optional: rows that
 * version 0.3 wrote do not have them.
 */
export default defineSchema({
  // Not patched by a save that follows another closely: a query that shows the
  // statuses of fifty streams does not run again for each sentence.
  streams: defineTable({
    status: vStreamStatus,
    /** Of streams that earlier versions claimed: when (ms since 1970). */
    claimedAt: v.optional(v.number()),
    /** The name this writer gave itself; each call of `stream()` or `generate()` has its own. Removed when nothing more can come from it. */
    writer: v.optional(v.string()),
    /** How long (ms) a writer may show no sign of life, where it is not the default. */
    timeoutMs: v.optional(v.number()),
    /** When a live stream counts as dead unless there is a sign of life (ms since 1970). */
    deadline: v.optional(v.number()),
    /** It counts as dead, and a mutation of its own has been scheduled to end it. */
    expiring: v.optional(v.boolean()),
    /** When its first text was saved (ms since 1970). */
    firstTextAt: v.optional(v.number()),
    /** When its status became final (ms since 1970). */
    endedAt: v.optional(v.number()),
    /** The length of the text (UTF-16 code units), once the stream has ended. */
    length: v.optional(v.number()),
    /** Why it ended, if there is more to say than its status says. On a live stream: why its last writer gave up. */
    error: v.optional(vStreamError),
    /** What the writer returned. */
    result: v.optional(v.any()),
    /** What is to be called when the stream ends. */
    callback: v.optional(v.id("callbacks")),
  })
    .index("byStatus", ["status"])
    .index("byDeadline", ["status", "deadline"]),

  // The text, in pieces that follow one another without a gap. Only the newest
  // piece grows, until it is a page long.
  chunks: defineTable({
    streamId: v.id("streams"),
    text: v.string(),
    /** The offset of its first character. Rows of version 0.3 have none; they sort first. */
    start: v.optional(v.number()),
    /** When text was last added to it (ms since 1970). */
    savedAt: v.optional(v.number()),
  }).index("byStream", ["streamId", "start"]),

  // The `onComplete` of each stream that has one and lives; and those that failed.
  callbacks: defineTable({
    /** The handle of an internal mutation of the app. */
    handle: v.string(),
    /** Its name, for the log. */
    name: v.string(),
    context: v.optional(v.any()),
    /** Set once the stream has ended and the callback still has to run. */
    owed: v.optional(vOutcome),
    /** How often it has been run by itself. */
    attempts: v.optional(v.number()),
    /** When it is run next (ms since 1970). Without it: never again. */
    dueAt: v.optional(v.number()),
  }).index("byDue", ["dueAt"]),

  // The planned checks: usually one while streams live.
  checks: defineTable({ at: v.number() }).index("byTime", ["at"]),

  // Streams that are gone and whose text still has to be deleted.
  deletions: defineTable({
    streamId: v.id("streams"),
    /** When the stream was deleted (ms since 1970): the same for all that one mutation deletes. */
    at: v.number(),
  }).index("byTime", ["at"]),
});
