import type { Body } from "./body.js";
import { CharacterJoiner } from "./characters.js";
import type { FlushPolicy } from "./flush.js";
import { shown } from "./errors.js";
import { Saver, type ClaimedStream } from "./saver.js";
import { fired, throwIfAborted, waitAtMost } from "../time.js";

/** Appends text to the stream: to the response at once, to the database as `flush` says. */
export type ChunkAppender = (text: string) => Promise<void>;

/** What a writer gives back: a promise of its end, or the text itself, piece by piece. */
export type Written = Promise<void> | AsyncIterable<string>;

/** How the writing of a stream ended. */
export type Ending = {
  /** What the writer threw, `undefined` included, or why its text could not be saved. Not there if all went well. */
  error?: unknown;
};

/** How long (ms) a writer has, once its signal has fired, to end by itself. */
const GRACE = 5000;

/**
 * Runs a writer to its end. Each piece of text goes to the body, if there is
 * one, and to the saver; when the writer has ended, what is left is saved with
 * the final status. Closing the body is left to the caller, as the last thing.
 *
 * Never rejects: on a deployment an unhandled rejection would end the action.
 */
export async function write(
  streamId: string,
  stream: ClaimedStream,
  policy: FlushPolicy,
  body: Body | null,
  writer: (append: ChunkAppender, signal: AbortSignal) => Written,
): Promise<Ending> {
  const saver = new Saver(streamId, stream, policy);
  const { signal } = saver;
  const joiner = new CharacterJoiner();
  let ended = false;
  let appends = false;

  const pass = (text: string) => {
    body?.write(text);
    saver.add(text);
  };
  const appendText = async (text: string) => {
    if (typeof text !== "string") {
      throw new TypeError(
        `A stream takes strings; what was appended to stream ${streamId} is ${shown(text)}. Leave out what is no text, as a model's first or last piece may be.`,
      );
    }
    throwIfAborted(signal);
    if (ended) {
      throw new Error(
        `The writer of stream ${streamId} has ended; nothing can be appended any more. Await each append, or return only when all are done.`,
      );
    }
    // All of it, before anything is waited for: the next append, of a writer
    // that does not await this one, comes behind it.
    pass(joiner.push(text));
    await saver.room();
  };
  const append: ChunkAppender = (text) => {
    appends = true;
    const appended = appendText(text);
    // A writer that does not await its appends must not end the action when
    // the stream is aborted. One that does await sees the rejection all the same.
    appended.catch(() => {});
    return appended;
  };

  const ending: Ending = {};
  const running = run(writer, append, signal).then((returned) => {
    if (!appends) checkReturned(streamId, returned);
  });
  const writing = running.catch((thrown: unknown) => {
    // One that throws because it was stopped has not failed.
    if (!signal.aborted) ending.error = thrown;
  });
  await Promise.race([writing, fired(signal)]);
  ended = true;
  if (!signal.aborted) pass(joiner.end());
  if (saver.failure !== null) ending.error = saver.failure;

  try {
    await saver.finish("error" in ending ? "error" : "done");
  } catch (unsaved) {
    if (!("error" in ending)) ending.error = unsaved;
  }
  if (signal.aborted) await waitAtMost(GRACE, writing);
  return ending;
}

async function run(
  writer: (append: ChunkAppender, signal: AbortSignal) => Written,
  append: ChunkAppender,
  signal: AbortSignal,
): Promise<unknown> {
  const written = writer(append, signal);
  if (!isAsyncIterable(written)) return written;
  const iterator = written[Symbol.asyncIterator]();
  // A generator that waits for its model's next token does not see that append
  // would reject. This tells it, so that the model is not paid for the rest.
  signal.addEventListener("abort", () => void close(iterator));
  for await (const text of { [Symbol.asyncIterator]: () => iterator }) {
    await append(text);
  }
  return undefined;
}

function isAsyncIterable(value: unknown): value is AsyncIterable<string> {
  return Symbol.asyncIterator in Object(value);
}

/**
 * Throws for a writer that has not appended anything and has returned text in
 * a way in which nobody reads it: the stream would be empty, and `done`.
 */
function checkReturned(streamId: string, returned: unknown): void {
  const isText =
    isAsyncIterable(returned) || Symbol.iterator in Object(returned);
  if (!isText || (returned as { length?: number }).length === 0) return;
  throw new TypeError(
    `The writer of stream ${streamId} has appended nothing, and what it gave back is ${shown(returned)}, which is not read. A writer appends its text, or it is a function that returns an async iterable of strings at once: an async generator, say, not an async function.`,
  );
}

async function close(iterator: AsyncIterator<string>): Promise<void> {
  try {
    await iterator.return?.();
  } catch {
    // It is being stopped; how it takes that is its own affair.
  }
}
