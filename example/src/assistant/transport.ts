import {
  readLines,
  readStream,
} from "@convex-dev/persistent-text-streaming/browser";
import type { ChatTransport, UIMessageChunk } from "ai";
import type { AssistantMessage } from "../../convex/assistantMessages";
import { siteAddress } from "../backend";
import { authToken } from "../identity";

/** A reply to be read. */
export type Reading = {
  streamId: string;
  /** Whether it is this browser's request that has the reply written, if no other's has. */
  driven: boolean;
};

/**
 * How `useChat` gets at replies. It sees one stream of chunks for each, from the
 * beginning to the end, whatever becomes of the connections that bring them.
 *
 * Which reply comes with the call: `sendMessage(message, { body: reading })`,
 * `resumeStream({ body: reading })`.
 *
 * @param unread The reply that is being written when the conversation comes into
 *   view, for `resume: true`; `undefined` if none is.
 */
export function transport(
  unread: Reading | undefined,
): ChatTransport<AssistantMessage> {
  return {
    sendMessages({ body, abortSignal }) {
      return Promise.resolve(chunksOf(body as Reading, abortSignal));
    },
    reconnectToStream({ body = unread, abortSignal }) {
      return Promise.resolve(
        body === undefined ? null : chunksOf(body as Reading, abortSignal),
      );
    },
  };
}

function chunksOf(
  { streamId, driven }: Reading,
  signal: AbortSignal | undefined,
): ReadableStream<UIMessageChunk> {
  const text = readStream(url, {
    streamId,
    drive: driven ? url : undefined,
    signal,
    headers: authorization,
  });
  const chunks = readLines(text, chunkOf);
  return new ReadableStream({
    async pull(controller) {
      const { done, value } = await chunks.next();
      if (done) controller.close();
      else controller.enqueue(value);
    },
    cancel: async () => void (await chunks.return()),
  });
}

/** What a line says; the last, `[DONE]`, and the blank ones between say nothing. */
function chunkOf(line: string): UIMessageChunk | undefined {
  return line.startsWith("data: {")
    ? (JSON.parse(line.slice("data: ".length)) as UIMessageChunk)
    : undefined;
}

const url = siteAddress("/assistant");
const authorization: Record<string, string> =
  authToken === undefined ? {} : { Authorization: `Bearer ${authToken}` };
