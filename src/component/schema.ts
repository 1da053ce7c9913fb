import { defineSchema, defineTable } from "convex/server";
import { v } from "convex/values";
import { streamStatus } from "../shared.js";

/**
 * Every field beyond `status`, `streamId` and `text` is optional: rows that
 * version 0.3 wrote do not have them.
 */
export default defineSchema({
  // Changes only when a status changes, not with every append: a query that
  // shows the statuses of fifty streams is not run again for each sentence.
  streams: defineTable({
    status: streamStatus,
    /** When a writer claimed the stream (ms since 1970). */
    claimedAt: v.optional(v.number()),
    /** The name that this writer gave itself; each call of `stream()` or `generate()` has its own. It is taken off when nothing more can come. */
    writer: v.optional(v.string()),
  }).index("byStatus", ["status"]),

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
});
