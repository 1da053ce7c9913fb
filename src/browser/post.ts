import { parseOffset, wire, withoutQuery } from "../protocol.js";
import { mayPass, retryAfter, textOf } from "./request.js";

/** What `headers` may be: as for `fetch`, also where TypeScript has no DOM library. */
export type HeaderValues =
  Headers | Record<string, string> | Iterable<readonly [string, string]>;

/** A value, or a function that is called for each request. It may be async. */
export type ValueOrFunction<T> = T | (() => T | PromiseLike<T>);

/** The `fetch` to use instead of the platform's. */
export type Fetch = (url: string, init: RequestInit) => Promise<Response>;

/** How to ask the HTTP action. */
export interface PostOptions {
  url: string;
  /** Added to `{ streamId }`, which the request sends as JSON. */
  body?: Record<string, unknown> | undefined;
  headers?: ValueOrFunction<HeaderValues | undefined> | undefined;
  authToken?: ValueOrFunction<string | null | undefined> | undefined;
  fetch?: Fetch | undefined;
}

/** What can go wrong with a request, as first aid (`advice.ts`) distinguishes it. */
export type Trouble =
  | "no answer"
  | "no head"
  | "busy"
  | "not text"
  | "unauthorized"
  | "refused"
  | "bad headers"
  | "no TextDecoder";

/**
 * How a request ended, and what follows from that:
 *
 * - `over`: the server answered. The database has the last word. `clean` if the
 *   whole body arrived.
 * - `again`: the request may never have reached the app, so it is made again
 *   while the stream is pending.
 * - `refused`: the answer was no. It may be another one once the headers have
 *   changed, if `mayChange`.
 */
export type PostEnd =
  | { then: "over"; clean: boolean; problem?: Problem }
  | { then: "again"; after: number | null; problem: Problem }
  | { then: "refused"; mayChange: boolean; problem: Problem };

export interface Problem {
  trouble: Trouble;
  /** A sentence for people. It contains neither the URL's query nor a token. */
  message: string;
  /** Of the HTTP response. */
  status?: number;
}

/** A request without any answer for this long is abandoned: it may never have arrived. */
const HEAD_MS = 30_000;

/** The wait before a request is made again: from 1 s to 60 s, at random, so that many pages do not ask at once. */
const FIRST_RETRY_MS = 1000;
const LONGEST_RETRY_MS = 60_000;

/** How long (ms) to wait after `losses` requests in a row have failed. `random` is from 0 to 1. */
export function retryWait(losses: number, random: number): number {
  const most = Math.min(LONGEST_RETRY_MS, FIRST_RETRY_MS * 2 ** losses);
  return most / 2 + (random * most) / 2;
}

/** The headers of a request, resolved. Throws if they are not valid, or what the app's functions throw. */
export async function requestHeaders({
  headers,
  authToken,
}: PostOptions): Promise<Headers> {
  const given = typeof headers === "function" ? await headers() : headers;
  const token = typeof authToken === "function" ? await authToken() : authToken;
  const all = new Headers(given as HeadersInit | undefined);
  if (!all.has("Content-Type")) all.set("Content-Type", "application/json");
  if (token) all.set("Authorization", `Bearer ${token}`);
  return all;
}

/** What headers say, to tell whether they have changed. */
export function headersKey(headers: Headers): string {
  return JSON.stringify([...headers]);
}

/**
 * Asks the HTTP action for a stream, and passes the text of its body on as it
 * arrives. Never rejects.
 *
 * @param on.headers Called with what the headers say (`headersKey`) when they are sent.
 * @param on.head Called when the answer is the stream's text, with the offset at which that starts.
 * @param on.text Called with each piece of the text.
 */
export async function post(
  streamId: string,
  options: PostOptions,
  signal: AbortSignal,
  on: {
    headers: (key: string) => void;
    head: (start: number) => void;
    text: (text: string) => void;
  },
): Promise<PostEnd> {
  const place = withoutQuery(options.url);
  const again = (trouble: Trouble, what: string): PostEnd => ({
    then: "again",
    after: null,
    problem: { trouble, message: place + what },
  });
  const controller = new AbortController();
  const abort = () => controller.abort();
  signal.addEventListener("abort", abort);
  let timer: ReturnType<typeof setTimeout> | undefined;
  try {
    const response = await Promise.race([
      send(streamId, options, controller.signal, on.headers),
      // A `fetch`, or a function of the app, may ignore the signal.
      new Promise<null>((resolve) => {
        timer = setTimeout(resolve, HEAD_MS, null);
        signal.addEventListener("abort", () => resolve(null), { once: true });
      }),
    ]);
    if (response === null) {
      abort();
      return again("no head", ` did not answer within ${HEAD_MS / 1000} s.`);
    }
    const end = endOf(response, place);
    if (end !== null || !response.body) {
      // Nobody reads it. It may have failed already.
      response.body?.cancel().catch(() => {});
      return end ?? { then: "over", clean: false };
    }
    if (typeof TextDecoder === "undefined") {
      abort();
      const message = `The text from ${place} cannot be decoded, because this platform has no TextDecoder. It is read from the database instead.`;
      const problem: Problem = { trouble: "no TextDecoder", message };
      return { then: "over", clean: false, problem };
    }
    on.head(parseOffset(response.headers.get(wire.startOffset) ?? "") ?? 0);
    try {
      for await (const text of textOf(response.body, signal)) on.text(text);
      return { then: "over", clean: true };
    } catch {
      // Cut off. A character that was cut in two comes whole from the database.
      return { then: "over", clean: false };
    }
  } catch (error) {
    if (!(error instanceof BadHeaders)) {
      return again("no answer", " did not answer.");
    }
    if (error.mayPass) {
      return again(
        "bad headers",
        " was not asked: the function `headers` or `authToken` failed or returned an invalid header.",
      );
    }
    const message = `${place} cannot be asked: \`authToken\` or one of the \`headers\` is not a valid header. Header values may not contain line breaks or characters beyond U+00FF.`;
    const problem: Problem = { trouble: "bad headers", message };
    return { then: "refused", mayChange: true, problem };
  } finally {
    clearTimeout(timer);
    signal.removeEventListener("abort", abort);
  }
}

/** Stands for an error that may quote a token, and so is not shown. */
class BadHeaders extends Error {
  constructor(readonly mayPass: boolean) {
    super();
  }
}

async function send(
  streamId: string,
  options: PostOptions,
  signal: AbortSignal,
  onHeaders: (key: string) => void,
): Promise<Response> {
  let headers: Headers;
  try {
    headers = await requestHeaders(options);
  } catch {
    throw new BadHeaders(mayChangeUnseen(options));
  }
  onHeaders(headersKey(headers));
  const init: RequestInit = {
    method: "POST",
    body: JSON.stringify({ ...options.body, streamId }),
    headers,
    signal,
  };
  return await (options.fetch ?? fetch)(options.url, init);
}

/** Whether a function says what the headers are, so that only calling it tells what they are now. */
export function mayChangeUnseen({
  headers,
  authToken,
}: Pick<PostOptions, "headers" | "authToken">): boolean {
  return typeof headers === "function" || typeof authToken === "function";
}

/** What an answer means by its head alone; null if its body is the stream's text. */
function endOf(response: Response, place: string): PostEnd | null {
  const { status, headers } = response;
  const problem = (trouble: Trouble, what: string) => ({
    trouble,
    message: `${place} answered ${status}${what}`,
    status,
  });
  if (response.ok) {
    // Another writer has started the stream.
    if (status === 204 || status === 205) return { then: "over", clean: false };
    const type = headers.get("Content-Type") ?? "";
    if (headers.has(wire.startOffset) || !/\b(html|json)\b/i.test(type)) {
      return null;
    }
    const what = ` with ${type.split(";")[0]} instead of the stream's text.`;
    return {
      then: "refused",
      mayChange: true,
      problem: problem("not text", what),
    };
  }
  if (status === 401 || status === 403) {
    return {
      then: "refused",
      mayChange: true,
      problem: problem("unauthorized", "."),
    };
  }
  if (mayPass(status)) {
    return {
      then: "again",
      after: retryAfter(headers),
      problem: problem("busy", "."),
    };
  }
  return {
    then: "refused",
    mayChange: false,
    problem: problem("refused", "."),
  };
}
