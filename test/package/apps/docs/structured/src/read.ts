// src/read.ts
import {
  readLines,
  readStream,
} from "@convex-dev/persistent-text-streaming/browser";
import { replyEvent } from "./events";

export async function printReply(siteUrl: string, streamId: string) {
  const text = readStream(`${siteUrl}/chat`, { streamId, drive: true });
  for await (const event of readLines(text, replyEvent)) {
    if (event.type === "text") console.log(event.delta);
  }
  console.log(text.status);
}
