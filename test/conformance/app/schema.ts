import { defineSchema, defineTable } from "convex/server";
import { v } from "convex/values";

export default defineSchema({
  /** The stream at each path. */
  places: defineTable({
    path: v.string(),
    streamId: v.string(),
    contentType: v.string(),
  }).index("byPath", ["path"]),
});
