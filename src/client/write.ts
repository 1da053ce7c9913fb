import type { Value } from "convex/values";
import type { ComponentApi } from "../component/_generated/component.js";
import { isHighSurrogate, type StreamStatus } from "../shared.js";
import type { FlushPolicy } from "./flush.js";
import type { RunActionCtx } from "./options.js";
import type { Body } from "./responses.js";
import { Saver, type ClaimedStream } from "./saver.js";
import { retry, waitAtMost } from "../time.js";
import { cannotSave, mayBeId, reasonOf, resultOf, shown } from "./values.js";

/** Appends text to the stream: to the response at once, to the database as `flush` says. */
export type ChunkAppender = (text: string) => Promise<void>;

/**
 * What a writer returns: a promise of its end, or the text itself, piece by piece.
 * The object that it returns at its end is the stream's `result`.
 */
export type Written = Promise<void | object> | AsyncIterable<string>;

const CLAIM_ATTEMPTS = 5;

/**
 * Claims a stream for one writer. Exactly one caller gets it; with `takeOver`, each
 * one takes it from the one before.
 *
 * @returns The stream to append to. Otherwise the reason: the status of a stream that
 *   is already claimed or has ended, or null if there is no such stream.
 */
export async function claim(
  lib: ComponentApi["lib"],
  ctx: RunActionCtx,
  streamId: string,
  timeoutMs: number,
  takeOver = false,
): Promise<{ stream: ClaimedStream } | { status: StreamStatus | null }> {
  if (!mayBeId(streamId)) return { status: null };
  // The name makes a claim repeatable: a claim whose answer was lost is still ours.
  // 48 bits are enough to tell a stream's writers apart.
  const writer = crypto.randomUUID().slice(0, 13);
  const { claimed, status, start } = await retry(CLAIM_ATTEMPTS, () =>
    ctx.runMutation(lib.claim, { streamId, writer, timeoutMs, takeOver }),
  );
  if (!claimed) return { status };
  return {
    stream: {
      start,
      timeoutMs,
      append: (start, text, last) =>
        ctx.runMutation(lib.append, { streamId, writer, start, text, ...last }),
      status: () => ctx.runQuery(lib.getClaim, { streamId, writer }),
    },
  };
}

/** How writing ended. */
export type Ending = {
  /**
   * What the writer threw (possibly `undefined`), or why its text could not be saved.
   * Absent if all went well.
   */
  error?: unknown;
};

/** How long (ms) a writer may take to finish after its signal fires. */
const GRACE_MS = 5000;

/**
 * Runs a writer to its end. Each piece of text goes to the body, if there is one, and
 * to the saver.
 *
 * When the writer ends, the rest is saved with the final status. When something else
 * ends the stream (a stop, a deletion, a time-out, failing saves), the order is:
 * accept no more text; save what was appended and release the claim; fire the signal,
 * once; give the writer a few seconds. On Convex's runtime an abort listener that
 * throws ends the action, and SDKs have such listeners. So when app code learns of
 * the end, there is nothing left to lose. Closing the body is the caller's last step.
 *
 * Never rejects: on a deployment an unhandled rejection would end the action.
 *
 * @param options.takeOver If the writer fails, leave the stream open for the next
 *   one.
 * @param options.onSaved Called when everything is saved, before the signal fires.
 */
export async function write(
  streamId: string,
  stream: ClaimedStream,
  policy: FlushPolicy,
  body: Body | null,
  writer: (append: ChunkAppender, signal: AbortSignal) => Written,
  {
    takeOver = false,
    onSaved = () => {},
  }: { takeOver?: boolean; onSaved?: (ending: Ending) => void } = {},
): Promise<Ending> {
  const saver = new Saver(streamId, stream, policy);
  const joiner = new CharacterJoiner();
  const stop = new AbortController();
  let tellAppends!: () => void;
  const everythingSaved = new Promise<void>((resolve) => {
    tellAppends = resolve;
  });
  let hasEnded = false;
  let hasAppended = false;

  const pass = (text: string) => {
    body?.write(text);
    saver.add(text);
  };
  const appendText = async (text: string) => {
    if (typeof text !== "string") {
      throw new TypeError(
        `append() takes a string, but stream ${streamId} was given ${shown(text)}. Skip pieces without text, such as a model's first or last one.`,
      );
    }
    if (saver.stopReason === null) {
      if (hasEnded) {
        throw new Error(
          `The writer of stream ${streamId} has ended, so nothing more can be appended. Await each append before the writer returns.`,
        );
      }
      // Pass on all of it before waiting: if the writer does not await its appends,
      // the next one must come after this one.
      pass(joiner.push(text));
      await saver.room();
    }
    if (saver.stopReason !== null) {
      // A rejection also tells the writer about the end, so it comes after the last
      // save.
      await everythingSaved;
      throw saver.stopReason;
    }
  };
  const append: ChunkAppender = (text) => {
    hasAppended = true;
    const appended = appendText(text);
    // An append that is not awaited must not end the action when the stream is
    // stopped. One that is awaited still sees the rejection.
    appended.catch(() => {});
    return appended;
  };

  const ending: Ending = {};
  let result: Value | undefined;
  const running = run(writer, append, stop.signal).then((returned) => {
    if (!hasAppended) checkReturned(streamId, returned);
    result = resultOf(streamId, returned);
  });
  const writing = running.then(
    () => {
      hasEnded = true;
    },
    (thrown: unknown) => {
      hasEnded = true;
      // A writer that throws after a stop has not failed.
      if (saver.stopReason === null) ending.error = thrown;
    },
  );
  await Promise.race([writing, saver.stopped]);
  if (saver.stopReason === null) pass(joiner.end());
  if (saver.failure !== null) ending.error = saver.failure;

  try {
    if ("error" in ending) {
      const error =
        saver.failure === null ? reasonOf(streamId, ending.error) : cannotSave;
      await saver.finish({ final: takeOver ? "open" : "error", error });
    } else {
      await saver.finish({ final: "done", result });
    }
  } catch (unsaved) {
    if (!("error" in ending)) ending.error = unsaved;
  }
  onSaved(ending);
  if (!hasEnded) fire(stop, saver.stopReason);
  tellAppends();
  await waitAtMost(GRACE_MS, writing);
  return ending;
}

function fire(controller: AbortController, reason: unknown): void {
  try {
    controller.abort(reason);
  } catch (error) {
    // Convex's runtime calls `signal.onabort` without catching errors.
    console.error("An onabort handler threw:", error);
  }
}

async function run(
  writer: (append: ChunkAppender, signal: AbortSignal) => Written,
  append: ChunkAppender,
  signal: AbortSignal,
): Promise<unknown> {
  const written = writer(append, signal);
  if (!isAsyncIterable(written)) return written;
  const iterator = written[Symbol.asyncIterator]();
  // A generator that is waiting for its model's next token does not notice that
  // `append` would reject. This tells it, so that no one pays for the rest.
  signal.addEventListener("abort", () => void close(iterator));
  // Not `for await`, which drops the generator's return value.
  for (;;) {
    const next = await iterator.next();
    if (next.done === true) return next.value as unknown;
    try {
      await append(next.value);
    } catch (error) {
      await close(iterator);
      throw error;
    }
  }
}

function isAsyncIterable(value: unknown): value is AsyncIterable<string> {
  return Symbol.asyncIterator in Object(value);
}

/**
 * Throws if a writer appended nothing and returned text where it has no effect.
 * Otherwise the stream would be empty, and `done`.
 */
function checkReturned(streamId: string, returned: unknown): void {
  const isText =
    isAsyncIterable(returned) || Symbol.iterator in Object(returned);
  if (!isText || (returned as { length?: number }).length === 0) return;
  throw new TypeError(
    `The writer of stream ${streamId} appended nothing and returned ${shown(returned)}, which has no effect. Append the text, or use an async generator function that yields strings, not an async function.`,
  );
}

async function close(iterator: AsyncIterator<string>): Promise<void> {
  try {
    await iterator.return?.();
  } catch {
    // It is being stopped; errors on the way do not matter.
  }
}

/**
 * Joins text that arrives cut anywhere, such as a model's tokens, into whole
 * characters. The result is valid Unicode, so the HTTP body and the database both
 * accept it and count the same offsets.
 */
class CharacterJoiner {
  private half = "";

  /** The characters completed by `text`. The first half of a pair waits for the second. */
  push(text: string): string {
    const joined = this.half + text;
    const whole = isHighSurrogate(joined.charCodeAt(joined.length - 1))
      ? joined.length - 1
      : joined.length;
    this.half = joined.slice(whole);
    return wellFormed(joined.slice(0, whole));
  }

  /** The rest at the end. A half without its other half becomes U+FFFD. */
  end(): string {
    const rest = wellFormed(this.half);
    this.half = "";
    return rest;
  }
}

/** With the `u` flag, this matches only surrogates that are not part of a pair. */
const loneSurrogates = /\p{Surrogate}/gu;

function wellFormed(text: string): string {
  return text.replace(loneSurrogates, "\uFFFD");
}
