/**
 * The HTTP side of a reader: one request to the HTTP action, the meaning of its
 * response, and what follows. It is sent again after failures, and when other headers
 * may change the response.
 */
import { START_OFFSET, withoutQuery } from "../protocol.js";
import { noteRequest, type Report } from "./first-aid.js";
import { makeRoomUntil, mayPass, retryAfter, textOf } from "./request.js";
import type { StreamProblem } from "./stream-reader.js";

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
interface Verdict {
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
 * A connection that has delivered nothing for this long is `quiet`. The time grows
 * with each false alarm.
 */
const QUIET_MS = 1000;
const MOST_QUIET_MS = 15_000;
/** A request without a response for this long is abandoned, because it may never have arrived. */
const HEAD_MS = 30_000;
/** After HTTP has ended cleanly, the database has this long to report how the stream ended. */
const LAST_WORD_MS = 4000;

/**
 * The wait before a request is sent again: 1 s to 60 s, random, so that many pages do
 * not ask at once.
 */
const FIRST_RETRY_MS = 1000;
const LONGEST_RETRY_MS = 60_000;

const OVER: Verdict = { then: "over" };

/**
 * The state of the request:
 *
 * - `unsent`: to be sent as soon as someone drives and the stream has not begun.
 * - `quiet`: open, but no text yet, or none for a while.
 * - `flowing`: text arrives.
 * - `waiting`: it failed, and will be sent again.
 * - `refused`: sent again on `retry()`, and when its headers change.
 * - `over`: nothing more will come.
 */
type HttpState = "unsent" | "quiet" | "flowing" | Verdict["then"];

export type HttpSide = ReturnType<typeof createHttpSide>;

export function createHttpSide(on: {
  /** How to ask; null if no one may. */
  source: () => PostOptions | null;
  text: (offset: number, text: string) => void;
  /** The state has changed. */
  change: () => void;
  /** The body has ended, but no one has reported how the stream ended. */
  silence: () => void;
  report: Report;
}) {
  let controller: AbortController | undefined;
  /** The timer of the current state. */
  let timer: ReturnType<typeof setTimeout> | undefined;
  let newsAt = 0;
  let quietMs = QUIET_MS;
  let losses = 0;
  /** Whether other headers may change the response. */
  let mayChange: boolean | undefined;
  /** The key of the last request. */
  let sent = "";

  const side = {
    state: "unsent" as HttpState,
    /** How much text has arrived (UTF-16 code units). */
    received: 0,
    /** How it was refused. */
    refusal: null as StreamProblem | null,

    /** Sends the request. Never rejects. */
    async ask(streamId: string): Promise<void> {
      const source = on.source();
      if (source === null) return;
      const place = withoutQuery(source.url);
      const { signal } = (controller = new AbortController());
      const end = (verdict: Verdict, what?: string, status?: number) => {
        // An aborted request no longer matters.
        if (!signal.aborted) conclude(verdict, what && place + what, status);
      };
      noteRequest(on.report);
      enter("quiet");
      timer = setTimeout(
        () => end({ then: "waiting" }, " did not answer within 30 s."),
        HEAD_MS,
      );
      let headers, response;
      try {
        headers = await requestHeaders(source);
      } catch {
        // Not the error itself, which may contain a token.
        const then = hasDynamicHeaders(source) ? "waiting" : "refused";
        const what = " was not asked: `headers` or `authToken` is not valid.";
        return end({ then, mayChange: true }, what);
      }
      if (signal.aborted) return;
      sent = requestKey(source, headers);
      try {
        const responding = (source.fetch ?? fetch)(source.url, {
          method: "POST",
          body: JSON.stringify({ ...source.body, streamId }),
          headers,
          signal,
        });
        response = await makeRoomUntil(responding, signal);
      } catch {
        return end({ then: "waiting" }, " did not answer.");
      }
      const { body, status } = response;
      const verdict = verdictOn(response);
      if (verdict) {
        const what = ` answered ${status}${verdict.what ?? ""}.`;
        return end(verdict, what, status);
      }
      // None: another writer has started the stream, or the platform does not stream.
      if (!body) return end(OVER);
      // It arrived although it was aborted.
      if (signal.aborted) return void body.cancel().catch(() => {});
      clearTimeout(timer);
      let offset = 0;
      try {
        for await (const text of textOf(body, signal)) {
          if (!signal.aborted) on.text(offset, text);
          if (signal.aborted) return;
          offset += text.length;
          flow(text.length);
        }
      } catch (error) {
        // Cut off. The database has the rest of a character that was split.
        const isPlatform = typeof TextDecoder === "undefined";
        return end(OVER, isPlatform ? `: ${String(error)}` : "");
      }
      if (signal.aborted) return;
      end(OVER);
      // The action may also have died. Only the database knows.
      timer = setTimeout(on.silence, LAST_WORD_MS);
    },

    retry(): void {
      losses = 0;
      side.refusal = null;
      const isOpen = side.state === "quiet" || side.state === "flowing";
      if (isOpen) on.change();
      else enter("unsent");
    },

    /** Sends a refused request again if it would now be different. */
    async askIfChanged(): Promise<void> {
      const { refusal } = side;
      const source = refusal && mayChange && on.source();
      if (!source) return;
      let key = sent;
      try {
        key = requestKey(source, await requestHeaders(source));
      } catch {
        // There are no valid headers yet.
      }
      if (side.refusal !== refusal) return;
      if (key !== sent) {
        side.refusal = null;
        enter("unsent");
      } else if (hasDynamicHeaders(source)) {
        wait();
      }
    },

    /** Whether text is arriving, has arrived or may yet arrive. */
    isHopeful: (): boolean =>
      side.received > 0 || side.state === "quiet" || side.state === "waiting",

    abort(): void {
      controller?.abort();
      clearTimeout(timer);
      side.state = side.received ? "over" : "unsent";
      // No one watches its headers any more, so a reader that comes back asks again.
      side.refusal = null;
    },

    /** The network or the page is back, so nothing needs to wait any longer. */
    wake(): void {
      const isQuiet = performance.now() - newsAt > QUIET_MS;
      if (side.state === "flowing" && isQuiet) enter("quiet");
      askAgain();
    },
  };

  function enter(state: HttpState): void {
    clearTimeout(timer);
    side.state = state;
    on.change();
  }

  function flow(length: number): void {
    newsAt = performance.now();
    side.received += length;
    if (side.state === "flowing") return;
    // A false alarm, so the next pause may be longer.
    if (side.received > length) quietMs = Math.min(2 * quietMs, MOST_QUIET_MS);
    enter("flowing");
    awaitSilence(quietMs);
  }

  /** Sets one timer again and again. One for each token would cost more than its text. */
  function awaitSilence(time: number): void {
    timer = setTimeout(() => {
      const left = newsAt + quietMs - performance.now();
      if (left > 0) awaitSilence(left);
      else enter("quiet");
    }, time);
  }

  function conclude(verdict: Verdict, message = "", status?: number): void {
    const { then, after } = verdict;
    controller!.abort();
    if (message) on.report(message, then === "refused");
    side.refusal =
      then === "refused"
        ? { kind: "Refused", message, ...(status && { status }) }
        : null;
    mayChange = verdict.mayChange;
    enter(then);
    // By then, a function may return other headers.
    if (then !== "over") wait(after);
  }

  function wait(time?: number | null): void {
    clearTimeout(timer);
    timer = setTimeout(askAgain, time ?? retryWait(++losses, Math.random()));
  }

  function askAgain(): void {
    if (side.state === "waiting") enter("unsent");
    else void side.askIfChanged();
  }

  return side;
}

/** How long (ms) to wait after `losses` failed requests in a row. `random` is from 0 to 1. */
export function retryWait(losses: number, random: number): number {
  const most = Math.min(LONGEST_RETRY_MS, FIRST_RETRY_MS * 2 ** losses);
  return ((1 + random) * most) / 2;
}

/** The headers of a request. Rejects if they are invalid, or with what the app's functions throw. */
async function requestHeaders({
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
function requestKey({ url }: PostOptions, headers: Headers): string {
  return JSON.stringify([url, ...headers]);
}

/** The meaning of a response's head; undefined if its body is the stream's text. */
function verdictOn({ ok, status, headers }: Response): Verdict | undefined {
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
