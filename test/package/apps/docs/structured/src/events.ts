// src/events.ts
import { z } from "zod";

export const replyEvent = z.discriminatedUnion("type", [
  z.object({ type: z.literal("reasoning"), delta: z.string() }),
  z.object({ type: z.literal("text"), delta: z.string() }),
  z.object({ type: z.literal("tool"), name: z.string(), input: z.unknown() }),
]);

export type ReplyEvent = z.infer<typeof replyEvent>;
