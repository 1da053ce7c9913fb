/*
 * How aborts behave in Convex's default runtime. Its `AbortController` is a polyfill:
 * each call to `abort()` dispatches another `abort` event, and an exception in a
 * listener becomes an unhandled rejection. Its `fetch` does not catch errors in its
 * own listener. Import this before any SDK.
 */
import { AsyncResource } from "node:async_hooks";
// @ts-expect-error It comes without types, and has those of the platform's own.
import * as polyfill from "abortcontroller-polyfill/dist/abortcontroller.js";

const NativeAbortController = AbortController;
const nativeFetch = fetch;
const host = new AsyncResource("host");

async function runtimeFetch(
  url: string | URL,
  { signal, ...init }: RequestInit = {},
): Promise<Response> {
  const request = new NativeAbortController();
  // The host ends the request when this stream ends. A second abort of the
  // signal closes it again, which throws, in a listener.
  const open = new ReadableStream({
    start(controller) {
      signal?.addEventListener("abort", () => controller.close());
    },
  });
  void open.getReader().closed.then(() => request.abort());
  // The host does this, so if it fails, that is not an unhandled rejection of the action.
  const response = await host.runInAsyncScope(() =>
    nativeFetch(url, { ...init, signal: request.signal }),
  );
  const reader = response.body?.getReader();
  const body = new ReadableStream<Uint8Array>({
    async pull(controller) {
      const part = await reader?.read();
      if (part === undefined || part.done) controller.close();
      else controller.enqueue(part.value);
    },
  });
  return new Response(body, response);
}

const { AbortController: Polyfill, AbortSignal: Signal } = polyfill as {
  AbortController: typeof AbortController;
  AbortSignal: typeof AbortSignal;
};
Object.assign(globalThis, {
  AbortController: Polyfill,
  AbortSignal: Signal,
  fetch: runtimeFetch,
});
