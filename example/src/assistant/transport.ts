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
  reading: Reading,
  signal: AbortSignal | undefined,
): ReadableStream<UIMessageChunk> {
  const chunks = readLines(textOf(reading, signal), chunkOf);
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

/** The text of a reply: as the model writes it, if it does so for this browser, and whatever is left of it from what is saved. */
async function* textOf(
  { streamId, driven }: Reading,
  signal: AbortSignal | undefined,
): AsyncGenerator<string, void> {
  let from = 0;
  if (driven) {
    for await (const text of drive(streamId, signal)) {
      from += text.length;
      yield text;
    }
  }
  // That HTTP ended says nothing: the action may have died, or the connection.
  // This knows when there is no more to come.
  yield* readStream(url, { streamId, from, signal, headers: authorization });
}

/** Has a reply written. Ends, without an error, for whatever reason the text does. */
async function* drive(
  streamId: string,
  signal: AbortSignal | undefined,
): AsyncGenerator<string, void> {
  const response = await ask(streamId, signal);
  // Somebody else has it written already.
  if (response.status !== 200 || response.body === null) return;
  const reader = response.body.getReader();
  const decoder = new TextDecoder();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      yield decoder.decode(value, { stream: true });
    }
  } catch {
    signal?.throwIfAborted();
  } finally {
    await reader.cancel().catch(() => {});
  }
}

/** Asks until there is an answer. It is safe to ask again: a reply is written once. */
async function ask(
  streamId: string,
  signal: AbortSignal | undefined,
): Promise<Response> {
  for (;;) {
    try {
      return await fetch(url, {
        method: "POST",
        headers: { "Content-Type": "application/json", ...authorization },
        body: JSON.stringify({ streamId }),
        signal,
      });
    } catch {
      signal?.throwIfAborted();
      await new Promise((resolve) => setTimeout(resolve, 1000));
    }
  }
}
