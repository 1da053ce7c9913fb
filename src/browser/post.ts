/** The request to the HTTP action, and the meaning of its responses. */
import { START_OFFSET } from "../protocol.js";
import { mayPass, retryAfter } from "./request.js";

/** Headers as for `fetch`, for TypeScript without the DOM library too. */
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

/** What follows from a response, or from having none. */
export interface Verdict {
  /**
   * - `over`: the server responded. The database has the last word.
   * - `waiting`: the request may never have reached the app. It is sent again while the
   *   stream is pending.
   * - `refused`: the server said no.
   */
  then: "over" | "waiting" | "refused";
  /** Whether other headers may change the response. */
  mayChange?: boolean;
  /** When to ask again (ms), if the server says so. */
  after?: number | null;
  /** The unexpected response. */
  what?: string;
}

/**
 * The wait before a request is sent again: 1 s to 60 s, random, so that many pages do
 * not ask at once.
 */
const FIRST_RETRY_MS = 1000;
const LONGEST_RETRY_MS = 60_000;

/** How long (ms) to wait after `losses` failed requests in a row. `random` is from 0 to 1. */
export function retryWait(losses: number, random: number): number {
  const most = Math.min(LONGEST_RETRY_MS, FIRST_RETRY_MS * 2 ** losses);
  return ((1 + random) * most) / 2;
}

/** The headers of a request. Rejects if they are invalid, or with what the app's functions throw. */
export async function requestHeaders({
  headers,
  authToken,
}: PostOptions): Promise<Headers> {
  const all = new Headers((await valueOf(headers)) as HeadersInit | undefined);
  const token = await valueOf(authToken);
  if (!all.has("Content-Type")) all.set("Content-Type", "application/json");
  if (token) all.set("Authorization", `Bearer ${token}`);
  return all;
}

/** The value, or what the function returns. */
export function valueOf<T>(value: ValueOrFunction<T>): T | PromiseLike<T> {
  return typeof value === "function"
    ? (value as () => T | PromiseLike<T>)()
    : value;
}

/** Whether only calling a function tells what the headers are now. */
export function hasDynamicHeaders({
  headers,
  authToken,
}: Omit<PostOptions, "url">): boolean {
  return typeof headers === "function" || typeof authToken === "function";
}

/** A request's URL and headers as a string, to tell whether they have changed. */
export function requestKey({ url }: PostOptions, headers: Headers): string {
  return JSON.stringify([url, ...headers]);
}

/** The meaning of a response's head; undefined if its body is the stream's text. */
export function verdictOn({
  ok,
  status,
  headers,
}: Response): Verdict | undefined {
  if (ok) {
    const type = headers.get("Content-Type") ?? "";
    if (headers.has(START_OFFSET) || !/\b(html|json)\b/i.test(type)) return;
    const what = ` with ${type}`;
    return { then: "refused", mayChange: true, what };
  }
  return mayPass(status)
    ? { then: "waiting", after: retryAfter(headers) }
    : { then: "refused", mayChange: status === 401 || status === 403 };
}
