import { vi } from "vitest";

/** What goes wrong with one request. */
export type Trouble =
  /** It never arrives. */
  | "lost"
  /** The answer has this status instead. */
  | { status: number; error?: string; retryAfter?: string }
  /** The connection breaks after so many bytes of the body. */
  | { cutAfter: number }
  /** The body ends after so many bytes, as if that were all. */
  | { endAfter: number }
  /** After so many bytes nothing more arrives, without an error. */
  | { deadAfter: number };

/** Answers `fetch` as a server does, over a network with these troubles. */
export function network(
  server: (url: string, init: RequestInit) => Promise<Response>,
  troubles: (index: number) => Trouble | undefined = () => undefined,
) {
  const requests: { url: URL; headers: Headers; body: unknown }[] = [];
  vi.stubGlobal("fetch", async (url: URL, init: RequestInit = {}) => {
    const { signal, body } = init;
    const headers = new Headers(init.headers);
    requests.push({ url: new URL(url), headers, body });
    const trouble = troubles(requests.length - 1);
    if (trouble === "lost") throw new TypeError("Failed to fetch");
    if (trouble !== undefined && "status" in trouble) {
      const { status, error, retryAfter } = trouble;
      const response = new Response(JSON.stringify({ error }), { status });
      if (retryAfter) response.headers.set("Retry-After", retryAfter);
      return response;
    }
    const client = new AbortController();
    signal?.addEventListener("abort", () => client.abort());
    const { signal: _, ...rest } = init;
    const response = await server(String(url), {
      ...rest,
      signal: client.signal,
    });
    if (response.body === null) return response;
    return new Response(carried(response.body, client, trouble), response);
  });
  return { requests };
}

/** A body as it arrives over the network. */
function carried(
  body: ReadableStream<Uint8Array>,
  client: AbortController,
  trouble: Exclude<Trouble, "lost" | { status: number }> | undefined,
): ReadableStream<Uint8Array> {
  const limit =
    trouble === undefined ? Infinity : (Object.values(trouble)[0] as number);
  const reader = body.getReader();
  let sent = 0;
  return new ReadableStream<Uint8Array>({
    start(controller) {
      client.signal.addEventListener("abort", () => {
        try {
          controller.error(new DOMException("It was aborted.", "AbortError"));
        } catch {
          // It has ended already.
        }
      });
    },
    async pull(controller) {
      const { done, value } = await reader.read();
      if (client.signal.aborted) return;
      if (done) return controller.close();
      const part = value.subarray(0, limit - sent);
      sent += part.length;
      if (part.length > 0) controller.enqueue(part);
      if (sent < limit || trouble === undefined) return;
      if ("deadAfter" in trouble) return new Promise(() => {});
      // The server does not notice.
      if ("cutAfter" in trouble) controller.error(new TypeError("terminated"));
      else controller.close();
    },
  });
}
