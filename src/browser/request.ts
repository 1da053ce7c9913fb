import { type StreamError, type StreamStatus, isFinal } from "../shared.js";
import { parseOffset, wire, withoutQuery } from "../protocol.js";

/** A response that will not change if the request is repeated. */
export class ReadStreamError extends Error {
  /** The error's name in logs. */
  override name = "ReadStreamError";

  /**
   * Describes the response.
   *
   * @param message What was expected, what was received, what to do.
   * @param status The status of the HTTP response.
   */
  constructor(
    message: string,
    readonly status: number,
  ) {
    super(message);
  }
}

/** A response that may change later. */
export class UnavailableError extends Error {
  /** `retryAfter`: how long (ms) the server says to wait; null if it does not say. */
  constructor(
    message: string,
    readonly retryAfter: number | null,
  ) {
    super(message);
  }
}

/** What `streaming.resume()` says about the text that it sends. */
export interface Answer {
  /** The offset where the text starts. */
  start: number;
  /** The end of the text saved so far. */
  next: number;
  /** The stream's status. */
  status: StreamStatus;
  /** Whether `next` is the end of the text. */
  isEnd: boolean;
  /** Why the stream ended early. */
  error?: StreamError | undefined;
}

/**
 * Reads the head of a response of `streaming.resume()`.
 *
 * @throws `ReadStreamError` if asking again is useless, an `Error` if it may help.
 */
export async function resumed(response: Response): Promise<Answer> {
  const { status, headers } = response;
  if (status !== 200 && status !== 204) throw await refusal(response);
  const start = offsetIn(headers, wire.startOffset);
  const next = offsetIn(headers, wire.nextOffset);
  const streamStatus = statusOf(headers.get(wire.status));
  if (start === null || next === null || streamStatus === null) {
    const { startOffset, nextOffset, status } = wire;
    throw notOurs(response, "resume", startOffset, nextOffset, status);
  }
  const closed = status === 204 || headers.get(wire.closed) === "true";
  const isEnd = closed && isFinal(streamStatus);
  const error = errorIn(headers.get(wire.error));
  return { start, next, status: streamStatus, isEnd, error };
}

/**
 * Reads the head of a response of `streaming.stream()`: the text from the beginning,
 * or none if the stream was started before.
 *
 * @throws Like `resumed`.
 */
export async function driven(response: Response): Promise<Answer> {
  const { status, headers } = response;
  if (status !== 200 && status !== 205) throw await refusal(response);
  const start = offsetIn(headers, wire.startOffset);
  if (status === 200 && start === null) {
    throw notOurs(response, "stream", wire.startOffset);
  }
  return { start: 0, next: 0, status: "pending", isEnd: false };
}

function notOurs(
  { url, status }: Response,
  method: "resume" | "stream",
  ...names: string[]
): Error {
  return new ReadStreamError(
    `${withoutQuery(url)} answered ${status} without the headers ${names.join(", ")}. It has to return what streaming.${method}(…) gives; and if the app sets Access-Control-Expose-Headers, that has to name all headers that begin with Stream-.`,
    status,
  );
}

async function refusal(response: Response): Promise<Error> {
  const { status, url, headers } = response;
  const message = `${withoutQuery(url)} answered ${status}${await reason(response)}`;
  return mayPass(status)
    ? new UnavailableError(message, retryAfter(headers))
    : new ReadStreamError(message, status);
}

/** Whether a server may answer differently next time. Below 500: too slow, too early, too many. */
export function mayPass(status: number): boolean {
  return status >= 500 || [408, 425, 429].includes(status);
}

/** How long (ms) a server says to wait, in seconds or until a date; at least a second. */
export function retryAfter(headers: Headers): number | null {
  const header = headers.get("Retry-After") ?? "";
  const wait = 1000 * Number(header) || Date.parse(header) - Date.now();
  // A timer of more than 2^31 ms would fire at once.
  return wait ? Math.min(Math.max(wait, 1000), 2 ** 30) : null;
}

/** Null for an unknown status, perhaps of a later version. */
function statusOf(header: string | null): StreamStatus | null {
  return Object.hasOwn(statuses, header ?? "")
    ? (header as StreamStatus)
    : null;
}
const statuses: Record<StreamStatus, true> = {
  pending: true,
  streaming: true,
  done: true,
  error: true,
  timeout: true,
  aborted: true,
};

/** Undefined if there is none, or it is invalid. */
function errorIn(header: string | null): StreamError | undefined {
  try {
    return JSON.parse(decodeURIComponent(header ?? "")) as StreamError;
  } catch {
    return undefined;
  }
}

function offsetIn(headers: Headers, name: string): number | null {
  return parseOffset(headers.get(name) ?? "");
}

/** The message in an error's body, if there is one. */
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

/**
 * The text of a body, as it arrives, in whole characters. Throws if the connection
 * breaks, and leaves out a character that was split there.
 *
 * @param signal The request's own signal, because it keeps a listener.
 */
export async function* textOf(
  body: ReadableStream<Uint8Array>,
  signal: AbortSignal,
): AsyncGenerator<string, void> {
  // Without `ignoreBOM`, a text that starts with U+FEFF would lose it, and all
  // offsets would be off by one.
  const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
  const reader = body.getReader();
  // A `fetch` that ignores its signal would keep us waiting for more.
  const cancel = () => void reader.cancel().catch(() => {});
  signal.addEventListener("abort", cancel);
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      const text = decoder.decode(value, { stream: true });
      if (text !== "") yield text;
    }
  } finally {
    // The reader has stopped, so the rest is useless. The body may have failed
    // already.
    cancel();
  }
}

/** An absolute URL for `fetch`. */
export function urlOf(url: URL | string): string {
  const text = addressOf(url);
  const { location } = globalThis as { location?: { href: string } };
  if (/^[a-z][a-z\d+.-]*:/i.test(text)) return text;
  if (location?.href !== undefined) return new URL(text, location.href).href;
  throw new TypeError(
    `readStream needs an absolute URL where there is no page, such as https://happy-animal-123.convex.site/chat, not ${JSON.stringify(text)}.`,
  );
}

/**
 * A URL as a string. React Native's `URL` appends a slash, which makes it another
 * route: to paths, and before 0.79 to queries too.
 */
export function addressOf(url: URL | string): string {
  const text = String(url);
  if (typeof url === "string" || !text.endsWith("/")) return text;
  const example = /[?#]/.test(text) ? "https://x.test/y?z" : "https://x.test/y";
  return new URL(example).href === example ? text : text.slice(0, -1);
}

/**
 * Sets parameters in a URL's query, replacing those of the same name. Done by hand,
 * because React Native's `URL` cannot do it.
 */
export function withQuery(
  url: string,
  parameters: Record<string, string>,
): string {
  const [address, ...query] = url.split("#")[0]!.split("?");
  const others = query.join("?").split("&");
  const kept = others.filter((part) => {
    const [name] = part.split("=");
    return part !== "" && !Object.hasOwn(parameters, name!);
  });
  const added = Object.entries(parameters).map(
    ([name, value]) => `${name}=${encodeURIComponent(value)}`,
  );
  return `${address}?${[...kept, ...added].join("&")}`;
}

/** A request that drives and has no response after this long (ms) may be waiting for a connection. */
const CROWDED_MS = 1000;
/** The ends of responses that follow a stream, the oldest first. */
const followers = new Set<() => void>();

/**
 * A browser opens six connections to a host over HTTP/1.1. A response that follows
 * is ended, to be asked for again, when a request that drives may be waiting for one.
 *
 * @returns A function that says that the response has ended.
 */
export function giveWay(end: () => void): () => void {
  followers.add(end);
  return () => void followers.delete(end);
}

/**
 * Waits for the response to a request that drives. If that takes long, responses that
 * follow a stream are ended to free a connection: one after a second, and twice as many
 * with each further one. Followers may have more requests queued ahead of this one.
 *
 * @param signal The request's signal. A `fetch` that ignores it never settles.
 */
export async function makeRoomUntil(
  response: Promise<Response>,
  signal: AbortSignal,
): Promise<Response> {
  let count = 1;
  const timer = setInterval(() => {
    for (const end of [...followers].slice(0, count)) {
      followers.delete(end);
      end();
    }
    count *= 2;
  }, CROWDED_MS);
  const stop = () => clearInterval(timer);
  signal.addEventListener("abort", stop);
  try {
    return await response;
  } finally {
    stop();
  }
}

/** Starts or stops calling back when the network or the page is back, so that waiting can end. */
export function listenForWakes(wake: () => void, listen: boolean): void {
  const change = listen ? "addEventListener" : "removeEventListener";
  const { window, document } = globalThis as Partial<typeof globalThis>;
  // React Native's window takes no listeners.
  window?.[change]?.("online", wake);
  window?.[change]?.("pageshow", wake);
  document?.[change]("visibilitychange", wake);
}

/**
 * A generator that can be left while it waits. By itself, a generator that waits for
 * its next value notices `return()` only when that has arrived.
 *
 * @param leave Ends the wait.
 */
export function leavable<T>(
  generator: AsyncGenerator<T, void>,
  leave: () => void,
): AsyncGenerator<T, void> {
  const end = generator.return.bind(generator);
  generator.return = (value) => {
    leave();
    return end(value);
  };
  return generator;
}
