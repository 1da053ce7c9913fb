import { vi } from "vitest";

/** What goes wrong with one request. */
export type Trouble =
  /** It never arrives. */
  | "lost"
  /** The server gets the request, but the page never sees the response, as without CORS. */
  | "unanswered"
  /** The response arrives all at once, when it is complete. */
  | "heldBack"
  /** Like `heldBack`, and without a `body` to read in pieces, as in React Native. */
  | "bodiless"
  /** Like `bodiless`, with the last byte missing. */
  | "clipped"
  /** The request never gets a response or an error. */
  | "unheard"
  /** These response headers are replaced. An empty value stands for a header that CORS hides. */
  | { headers: Record<string, string> }
  /** The answer has this status instead. */
  | { status: number; error?: string; retryAfter?: string }
  /** The connection breaks after so many bytes of the body. */
  | { cutAfter: number }
  /** The body ends after so many bytes, as if that were all. */
  | { endAfter: number }
  /** After so many bytes nothing more arrives, without an error. */
  | { deadAfter: number };

/** Says what goes wrong with which request, counted from 0. */
export type Troubles = (index: number) => Trouble | undefined;

/** Answers `fetch` as a server does, over a network with these troubles. */
export function network(
  server: (url: string, init: RequestInit) => Promise<Response>,
  troubles: Troubles = () => undefined,
) {
  const requests: {
    method: string;
    url: URL;
    headers: Headers;
    body: unknown;
  }[] = [];
  vi.stubGlobal("fetch", async (url: string, init: RequestInit = {}) => {
    const { signal, method = "GET" } = init;
    const headers = new Headers(init.headers);
    requests.push({ method, url: new URL(url), headers, body: init.body });
    const trouble = troubles(requests.length - 1);
    if (trouble === "lost") throw new TypeError("Failed to fetch");
    if (trouble === "unheard") return new Promise(() => {});
    if (typeof trouble === "object" && "status" in trouble) {
      const { status, error, retryAfter } = trouble;
      return new Response(error ? JSON.stringify({ error }) : null, {
        status,
        headers: retryAfter ? { "Retry-After": retryAfter } : {},
      });
    }
    const response = await server(url, init);
    if (trouble === "unanswered") throw new TypeError("Failed to fetch");
    const { status } = response;
    const seen = { status, headers: new Headers(response.headers) };
    if (typeof trouble === "object" && "headers" in trouble) {
      for (const entry of Object.entries(trouble.headers)) {
        seen.headers.set(...entry);
      }
    }
    if (response.body === null) return new Response(null, seen);
    const connection = connectionWith(trouble, signal);
    // The server does not notice when it breaks.
    const body = response.body.pipeThrough(connection, { preventCancel: true });
    const arriving = new Response(body, seen);
    const isWhole =
      trouble === "heldBack" || trouble === "bodiless" || trouble === "clipped";
    if (!isWhole) return arriving;
    const bytes = await arriving.arrayBuffer();
    const end = trouble === "clipped" ? -1 : bytes.byteLength;
    const whole = new Response(bytes.slice(0, end), seen);
    return trouble === "heldBack"
      ? whole
      : Object.defineProperty(whole, "body", { value: null });
  });
  return { requests };
}

/** What a body passes through on its way. */
function connectionWith(
  trouble: Trouble | undefined,
  signal: AbortSignal | null | undefined,
): TransformStream<Uint8Array, Uint8Array> {
  let [how, left] = ["", Infinity];
  if (typeof trouble === "object" && !("headers" in trouble)) {
    [[how, left]] = Object.entries(trouble) as [[string, number]];
  }
  return new TransformStream({
    start(controller) {
      signal?.addEventListener("abort", () =>
        controller.error(new DOMException("It was aborted.", "AbortError")),
      );
    },
    transform(bytes, controller) {
      const part = bytes.subarray(0, left);
      left -= part.length;
      // Packets do not end where characters do.
      const middle = part.length >> 1;
      for (const packet of [part.slice(0, middle), part.slice(middle)]) {
        if (packet.length > 0) controller.enqueue(packet);
      }
      if (left > 0) return;
      if (how === "deadAfter") return new Promise(() => {});
      if (how === "endAfter") return controller.terminate();
      controller.error(new TypeError("terminated"));
    },
  });
}
