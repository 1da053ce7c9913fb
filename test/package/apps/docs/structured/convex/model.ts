// convex/model.ts
import type { ReplyEvent } from "../src/events";

/** Stands in for your model: thoughts, then a tool call, then text. */
export async function* think(
  prompt: string,
  signal: AbortSignal,
): AsyncGenerator<ReplyEvent> {
  const events: ReplyEvent[] = [
    { type: "reasoning", delta: "They want to know about " },
    { type: "reasoning", delta: prompt },
    { type: "tool", name: "search", input: { query: prompt } },
    { type: "text", delta: "Here is what I found." },
  ];
  for (const event of events) {
    signal.throwIfAborted();
    yield await Promise.resolve(event);
  }
}
