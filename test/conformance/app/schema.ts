import { defineSchema, defineTable } from "convex/server";
import { v } from "convex/values";

export default defineSchema({
  /** Which stream is at which path. */
  places: defineTable({
    path: v.string(),
    streamId: v.string(),
    contentType: v.string(),
  }).index("byPath", ["path"]),
});
