// convex/schema.ts
import { vStreamId } from "@convex-dev/persistent-text-streaming";
import { defineSchema, defineTable } from "convex/server";
import { v } from "convex/values";

const messages = defineTable({ prompt: v.string(), streamId: vStreamId });
export default defineSchema({ messages: messages.index("byStream", ["streamId"]) });
