/**
 * First aid: a reader reports a problem once, and in development also says what to
 * change. Bundlers remove the advice and the checks from a production build.
 */
import type { DatabaseSide } from "./database-side.js";
import type { HttpSide } from "./http-side.js";

/** A stream that no one starts for this long is reported. */
const UNCLAIMED_MS = 10_000;
/** Text that HTTP does not deliver for this long while the database has it is reported. */
const HELD_BACK_MS = 3000;

/** Replaced by bundlers. Absent in a browser without one. */
declare const process: { env: { NODE_ENV?: string } };

/** Reports what is wrong, once per `trouble`. */
export type Report = (
  message: string,
  isError?: boolean,
  trouble?: string,
) => void;

/** Reports for one reader. */
export function createReport(): Report {
  const reported = new Set<string>();
  return (message, isError, trouble = message) => {
    if (reported.has(trouble)) return;
    reported.add(trouble);
    let help = "";
    // Bundlers replace the condition, here and below.
    try {
      if (process.env.NODE_ENV !== "production") {
        help = ` ${advice.find(([said]) => said.test(message))?.[1]}`;
      }
    } catch {
      // There is no bundler, and no `process`.
    }
    console[isError ? "error" : "warn"](message + help);
  };
}

/** In development, records when a request is sent. */
export function noteRequest(report: Report): void {
  try {
    if (process.env.NODE_ENV !== "production") {
      askedAt.set(report, performance.now());
    }
  } catch {
    // As above.
  }
}
const askedAt = new WeakMap<Report, number>();

/** In development, reports what looks wrong in a query's result. */
export function examine(
  report: Report,
  streamId: string,
  { page }: DatabaseSide,
  http: HttpSide,
): void {
  try {
    if (process.env.NODE_ENV !== "production") {
      if (page === null) return;
      const { status, text, error } = page;
      if (!examined.has(report) && status === "error" && !text && !error) {
        report(`There is no stream ${streamId}, or it failed before its text.`);
      }
      examined.add(report);
      const waited = performance.now() - (askedAt.get(report) ?? Infinity);
      const isHeldBack = http.state === "quiet" && !http.received && text;
      if (isHeldBack && waited > HELD_BACK_MS) {
        report(`Stream ${streamId} does not arrive.`);
      }
    }
  } catch {
    // As above.
  }
}
/** Readers whose query has been answered before. */
const examined = new WeakSet<Report>();

/** In development, reports a stream that no one starts. */
export function expectWriter(
  report: Report,
  streamId: string,
  isUnclaimed: () => boolean,
): void {
  try {
    if (process.env.NODE_ENV !== "production") {
      clearTimeout(expecting.get(report));
      if (!isUnclaimed()) return;
      const late = () => report(`Stream ${streamId} is pending.`);
      expecting.set(report, setTimeout(late, UNCLAIMED_MS));
    }
  } catch {
    // As above.
  }
}
const expecting = new WeakMap<Report, ReturnType<typeof setTimeout>>();

const advice: [said: RegExp, help: string][] = [
  [
    / did not answer\.$/,
    "If the server is up, the browser has blocked the answer: the URL needs a route for OPTIONS beside the one for POST, and every answer needs CORS headers (Access-Control-Allow-Origin, and Access-Control-Allow-Headers with each header that you send). `streaming.registerRoutes(http, …)` does all of that.",
  ],
  [
    / did not answer within /,
    "The HTTP action has to return the response of `streaming.stream(…)` at once, not after the text is complete.",
  ],
  [
    / answered 2/,
    "Something else answered: a login page, a proxy, or an HTTP action that does not return the response of `streaming.stream(…)`. Check the URL; Convex serves HTTP actions on `.convex.site`, not on `.convex.cloud`.",
  ],
  [
    / answered 40[13]/,
    "The route refused the token. The request is made again when `authToken` or `headers` change. A function there is called before each request, so that the token is fresh.",
  ],
  [
    / answered (5|408|425|429)/,
    "The request is repeated while the stream is pending. If this goes on, look at the deployment's logs.",
  ],
  [
    / answered \d/,
    "Check the URL and the path of the route. `retry()` asks again.",
  ],
  [
    / was not asked/,
    "Header values may not contain line breaks or characters beyond U+00FF, and the functions `authToken` and `headers` may not throw.",
  ],
  [
    /TextDecoder/,
    "Load a polyfill for TextDecoder before the app, for example `fast-text-encoding`.",
  ],
  [
    /^The query .* failed/,
    "The page keeps showing the text that arrives over HTTP. Elsewhere this error is thrown.",
  ],
  [
    /^The query .* answered null/,
    "Return what `streaming.getStreamBody(ctx, streamId)` returns, also before the message is found.",
  ],
  [
    /^There is no stream/,
    "If its writer did not throw, the id is no stream's, or the stream has been deleted. Leave `streamId` out of optimistic documents: without an id the hook waits, with a made-up one it shows an error.",
  ],
  [
    / is pending\.$/,
    'Nobody has started this stream in 10 s. Pass `driven: "auto"` (or true) in the session that created it, or call `streaming.generate(…)` in the backend.',
  ],
  [
    / does not arrive\.$/,
    "The text is in the database and has not arrived over HTTP: something on the way (a proxy, compression, React Native's fetch) holds the response back. The page shows the database's text meanwhile.",
  ],
];
