import { wire } from "../protocol.js";
import { shown } from "./errors.js";
import { Body } from "./body.js";

/**
 * What every response says: the text is one reader's, proxies must pass it on as
 * it comes, it is no page and no script, and pages may see where it starts.
 */
const common = {
  // Without no-transform, compression middleware gathers text before it sends any.
  "Cache-Control": "private, no-store, no-transform",
  // nginx would fill its buffers first.
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

/** A response with text: as it is written, all of it, or none where only its headers are asked for. */
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

/** A response without a body; on a standard runtime such a status must have none. */
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
