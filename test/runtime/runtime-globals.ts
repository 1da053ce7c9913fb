/*
 * What is special about aborts in Convex's default runtime: its `AbortController`
 * is a polyfill that dispatches `abort` again at every call of `abort()` and turns
 * an exception in a listener into an unhandled rejection, and its `fetch` listens
 * without a catch. Import this before any SDK.
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
  // The host's own work: if it fails, that is not a rejection of the action.
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
