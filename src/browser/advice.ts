/**
 * First aid in development: what is probably wrong, and what to change. Bundlers
 * leave this file out of a production build (see `StreamReader.report`).
 */
import type { Trouble } from "./post.js";

/** What a reader finds suspicious beside what HTTP answers. */
export type Suspicion =
  "query failed" | "query null" | "unknown id" | "unclaimed" | "held back";

export const advice: Record<Trouble | Suspicion, string> = {
  "no answer":
    "If the server is up, the browser has blocked the answer: the URL needs a route for OPTIONS beside the one for POST, and every answer needs CORS headers (Access-Control-Allow-Origin, and Access-Control-Allow-Headers with each header that you send). `streaming.registerRoutes(http, …)` does all of that.",
  "no head":
    "The HTTP action has to return the response of `streaming.stream(…)` at once, not after the text is complete.",
  busy: "The request is repeated while the stream is pending. If this goes on, look at the deployment's logs.",
  "not text":
    "Something else answered: a login page, a proxy, or an HTTP action that does not return the response of `streaming.stream(…)`. Check the URL; Convex serves HTTP actions on `.convex.site`, not on `.convex.cloud`.",
  unauthorized:
    "The route refused the token. The request is made again when `authToken` or `headers` change. A function there is called before each request, so that the token is fresh.",
  refused: "Check the URL and the path of the route. `retry()` asks again.",
  "bad headers": "Check what you pass as `authToken` and `headers`.",
  "no TextDecoder":
    "Load a polyfill for TextDecoder before the app, for example `fast-text-encoding`.",
  "query failed":
    "The page keeps showing the text that arrives over HTTP. Elsewhere this error is thrown.",
  "query null":
    "Return what `streaming.getStreamBody(ctx, streamId)` returns, also before the message is found.",
  "unknown id":
    "The id is no stream's, or the stream has been deleted. Leave `streamId` out of optimistic documents: without an id the hook waits, with a made-up one it shows an error.",
  unclaimed:
    'Nobody has started this stream in 10 s. Pass `driven: "auto"` (or true) in the session that created it, or call `streaming.generate(…)` in the backend.',
  "held back":
    "The text is in the database and has not arrived over HTTP: something on the way (a proxy, compression, React Native's fetch) holds the response back. The page shows the database's text meanwhile.",
};
