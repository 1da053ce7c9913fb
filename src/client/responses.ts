import { wire } from "../protocol.js";
import { shown } from "./errors.js";
import { Body } from "./body.js";

/**
 * Headers of every response: the text is private, proxies must not buffer or change
 * it, it is neither a page nor a script, and pages may read its offsets.
 */
const common = {
  // Without no-transform, compression middleware collects text before sending it.
  "Cache-Control": "private, no-store, no-transform",
  // Otherwise nginx fills its buffers first.
  "X-Accel-Buffering": "no",
  "X-Content-Type-Options": "nosniff",
  "Access-Control-Expose-Headers": [
    wire.startOffset,
    wire.nextOffset,
    wire.closed,
    wire.status,
    wire.error,
  ].join(", "),
};

/** A response with text: as it is written, complete, or empty if only the headers are requested. */
export function textResponse(
  body: Body | string | null,
  headers: Record<string, string> = {},
): Response {
  return new Response(body instanceof Body ? body.stream : body, {
    headers: {
      "Content-Type": "text/plain; charset=utf-8",
      ...common,
      ...headers,
    },
  });
}

/** A response without a body. On a standard runtime this status must have none. */
export function emptyResponse(
  status: 204 | 205 | 304,
  headers: Record<string, string> = {},
): Response {
  return new Response(null, { status, headers: { ...common, ...headers } });
}

export function errorResponse(
  status: 400 | 403 | 404 | 405 | 500,
  error: string,
  headers: Record<string, string> = {},
): Response {
  return new Response(JSON.stringify({ error }), {
    status,
    headers: { "Content-Type": "application/json", ...common, ...headers },
  });
}

export function notFound(streamId: string): Response {
  return errorResponse(
    404,
    `There is no stream ${shown(streamId)}. It may have been deleted.`,
  );
}
