import type { StreamStatus } from "../shared.js";
import { isFinal } from "../status.js";
import { wire } from "../wire.js";
import { parseOffset } from "../offsets.js";

/** The answer of a server that will say the same if it is asked again. */
export class ReadStreamError extends Error {
  /** The name by which logs call it. */
  override name = "ReadStreamError";

  /**
   * What the answer was.
   *
   * @param message What was expected, what came, what to do.
   * @param status The status of the HTTP response.
   */
  constructor(
    message: string,
    readonly status: number,
  ) {
    super(message);
  }
}

/** What `streaming.resume()` says of the text that it sends. */
export interface Answer {
  /** The offset at which the text starts. */
  start: number;
  /** The offset at which the stream ends, and the status that it has then; null while it goes on. */
  end: { offset: number; status: StreamStatus } | null;
}

/**
 * Reads the head of a response of `streaming.resume()`.
 *
 * @throws `ReadStreamError` if it is of no use to ask again, an `Error` if it may be.
 */
export async function resumed(response: Response): Promise<Answer> {
  const { status, headers, url } = response;
  if (status !== 200 && status !== 204) throw await refusal(response);
  const start = offsetOf(headers.get(wire.startOffset));
  const next = offsetOf(headers.get(wire.nextOffset));
  if (start === null || next === null) {
    throw new ReadStreamError(
      `${url} answered ${status} without the headers ${wire.startOffset} and ${wire.nextOffset}. It has to return what streaming.resume(…) gives, and if it sets Access-Control-Expose-Headers, that has to name the headers that resume() sets.`,
      status,
    );
  }
  // What `resume()` sets together with the other two.
  const streamStatus = headers.get(wire.status) as StreamStatus;
  const closed = headers.get(wire.closed) === "true" && isFinal(streamStatus);
  return { start, end: closed ? { offset: next, status: streamStatus } : null };
}

/**
 * Reads the head of a response of `streaming.stream()`: the text from the
 * beginning on, or none, if the stream was started before.
 *
 * @throws As `resumed` does.
 */
export async function driven(response: Response): Promise<Answer> {
  if (response.status !== 200 && response.status !== 205) {
    throw await refusal(response);
  }
  return { start: 0, end: null };
}

async function refusal(response: Response): Promise<Error> {
  const { status, url } = response;
  const message = `${url} answered ${status}${await reason(response)}`;
  const mayChange = status >= 500 || TRY_AGAIN.includes(status);
  return mayChange ? new Error(message) : new ReadStreamError(message, status);
}

/** The statuses below 500 that may be others at the next time: too slow, too early, too many. */
const TRY_AGAIN = [408, 425, 429];

function offsetOf(header: string | null): number | null {
  return header === null ? null : parseOffset(header);
}

/** What an error's body says, if it says something. */
async function reason(response: Response): Promise<string> {
  if (response.status === 205) {
    return ": it writes streams, and this one has been started before. Read it at the URL that returns streaming.resume(…).";
  }
  try {
    const text = await response.text();
    const { error = text } = JSON.parse(text) as { error?: unknown };
    return `: ${String(error).slice(0, 500)}`;
  } catch {
    return ".";
  }
}
