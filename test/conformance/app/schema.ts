import { defineSchema, defineTable } from "convex/server";
import { v } from "convex/values";

const text = v.string();
export default defineSchema({
  places: defineTable({ path: text, streamId: text, contentType: text }),
});
