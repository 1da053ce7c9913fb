import { Body } from "./body.js";
import { follow, type ReadPage, type SavedPage } from "./follow.js";

/**
 * A body that brings a page of a stream and what is saved after it, as `send`
 * writes it, until there is no more, `send` returns false, the response is full
 * or the client has gone.
 */
export function sendPages(
  first: SavedPage,
  read: ReadPage,
  request: Request,
  streamId: string,
  send: (page: SavedPage, write: (text: string) => void) => boolean,
): Body {
  const gone = new AbortController();
  const leave = () => gone.abort();
  request.signal.addEventListener("abort", leave);
  if (request.signal.aborted) leave();
  const body = new Body({ onCancel: leave });
  const write = (text: string) => body.write(text);
  // Not awaited: the response has to be on its way first. It never rejects.
  void (async () => {
    try {
      for await (const page of follow(first, read, gone.signal)) {
        if (!send(page, write) || body.full) break;
      }
    } catch (error) {
      console.error(
        `Stream ${streamId} could not be followed to its end:`,
        error,
      );
    }
    body.close();
    request.signal.removeEventListener("abort", leave);
  })();
  return body;
}
