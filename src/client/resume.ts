import { now } from "../time.js";
import { wire } from "../wire.js";
import { formatOffset, isOffset, parseOffset } from "../offsets.js";
import { mayBeId } from "./ids.js";
import { shown } from "./shown.js";
import { isLast, look, type ReadPage } from "./follow.js";
import {
  emptyResponse,
  errorResponse,
  notFound,
  textResponse,
} from "./responses.js";
import { sendPages } from "./sending.js";

/** No response takes longer (ms), well within what an action may take. The client asks again from where it is. */
const LONGEST_RESPONSE = 9 * 60 * 1000;

/** The response that brings the text of a stream from an offset on, to the stream's end. */
export async function resume(
  read: ReadPage,
  request: Request,
  streamId: string,
  given: number | undefined,
): Promise<Response> {
  const from = given ?? requestedOffset(request.url);
  if (from === null || !isOffset(from)) {
    return errorResponse(
      400,
      `An offset is a whole number from 0 on (UTF-16 code units); this one is ${given ?? `in ${shown(request.url)}`}.`,
    );
  }
  const first = mayBeId(streamId) ? await look(read, from) : null;
  if (first === null) return notFound(streamId);
  const end = first.from + first.text.length;
  const headers: Record<string, string> = {
    [wire.startOffset]: formatOffset(first.from),
    [wire.nextOffset]: formatOffset(end),
    [wire.status]: first.status,
  };
  if (isLast(first)) {
    headers[wire.closed] = "true";
    if (first.text === "") return emptyResponse(204, headers);
  }
  // Convex's router answers HEAD by what is there for GET.
  if (request.method === "HEAD") return textResponse(null, headers);
  const deadline = now() + LONGEST_RESPONSE;
  const body = sendPages(first, read, request, streamId, (page, write) => {
    write(page.text);
    return now() <= deadline;
  });
  return textResponse(body, headers);
}

/** The offset in a URL: 0 if there is none, null if it cannot be one. */
function requestedOffset(url: string): number | null {
  const tokens = new URL(url).searchParams.getAll(wire.offset);
  const [token = "-1"] = tokens;
  return tokens.length > 1 ? null : parseOffset(token);
}
