import { defineSchema, defineTable } from "convex/server";
import { v } from "convex/values";

export default defineSchema({
  requests: defineTable({
    streamId: v.string(),
    authorization: v.string(),
    extra: v.string(),
  }),
  gates: defineTable({ streamId: v.string() }),
  runs: defineTable({ streamId: v.string() }),
});
