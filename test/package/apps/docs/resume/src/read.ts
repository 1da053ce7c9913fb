// src/read.ts
import { readStream } from "@convex-dev/persistent-text-streaming/browser";

export async function printReply(siteUrl: string, streamId: string) {
  const text = readStream(`${siteUrl}/chat`, { streamId, drive: true });
  for await (const piece of text) console.log(piece);
  console.log(text.status); // "done", "aborted", "error" or "timeout"
}
