/*
 * The globals of Convex's default runtime, for a bare context. The streams and
 * the `AbortController` are the polyfills that the runtime uses; the rest does
 * what the runtime's own classes do, as far as SDKs and this package use them.
 * What the runtime lacks (`queueMicrotask`, `setImmediate`, `MessageChannel`,
 * everything from Node) is not here either.
 */
// @ts-expect-error It comes without types, and has those of the platform's own.
import * as polyfill from "abortcontroller-polyfill/dist/abortcontroller.js";
import {
  ReadableStream,
  ReadableStreamBYOBReader,
  ReadableStreamDefaultReader,
  TransformStream,
  WritableStream,
  WritableStreamDefaultWriter,
} from "web-streams-polyfill";

/** What the host lends the context: classes without a life of their own, and its operations. */
export interface Host {
  globals: Record<string, unknown>;
  now(): number;
  /** Carries out an operation. Once the action is over, none is answered. */
  start(
    name: string,
    args: unknown,
    resolve: (json: never) => void,
    reject: (message: string) => void,
  ): void;
}

declare const host: Host;
const { AbortController, AbortSignal } = polyfill as {
  AbortController: typeof globalThis.AbortController;
  AbortSignal: typeof globalThis.AbortSignal;
};
const context = globalThis as unknown as Record<string, unknown>;
type Bytes = Uint8Array<ArrayBuffer>;

/** An operation of the host. */
export function perform<Result>(name: string, args?: unknown): Promise<Result> {
  return new Promise((resolve, reject) => {
    host.start(name, args, resolve, (message) => reject(new Error(message)));
  });
}

// Like the runtime's, a timer is an operation: clearing it forgets what to do,
// and an exception in it is an unhandled rejection.
const timers = new Map<number, () => void>();
let timersSet = 0;
function setTimer(run: () => void, ms = 0, again = false): number {
  const id = ++timersSet;
  const wait = () => {
    timers.set(id, run);
    void perform("sleep", ms).then(() => {
      if (!timers.delete(id)) return;
      run();
      if (again) wait();
    });
  };
  wait();
  return id;
}
const clearTimer = (id: number) => void timers.delete(id);

class TextEncoder {
  private readonly inner = new (
    host.globals.TextEncoder as typeof globalThis.TextEncoder
  )();
  // Not the host's own array, which is no `Uint8Array` of this context.
  encode(text?: string): Bytes {
    return new Uint8Array(this.inner.encode(text));
  }
}

class TextDecoderStream {
  readonly readable: ReadableStream<string>;
  readonly writable: WritableStream<Bytes>;
  constructor() {
    const decoder = new TextDecoder();
    const { readable, writable } = new TransformStream<Bytes, string>({
      transform: (bytes, controller) =>
        controller.enqueue(decoder.decode(bytes, { stream: true })),
      flush: (controller) => controller.enqueue(decoder.decode()),
    });
    this.readable = readable;
    this.writable = writable;
  }
}

type BodyInit = string | Bytes | ReadableStream<Bytes> | null | undefined;

class Message {
  readonly headers: Headers;
  readonly body: ReadableStream<Bytes> | null;
  bodyUsed = false;

  constructor(body: BodyInit, headers: HeadersInit | undefined) {
    this.headers = new Headers(headers);
    if (typeof body === "string" && !this.headers.has("content-type")) {
      this.headers.set("content-type", "text/plain;charset=UTF-8");
    }
    this.body =
      body === null || body === undefined || body instanceof ReadableStream
        ? (body ?? null)
        : streamOf(
            typeof body === "string" ? new TextEncoder().encode(body) : body,
          );
  }

  async arrayBuffer(): Promise<ArrayBuffer> {
    this.bodyUsed = true;
    const pieces: Bytes[] = [];
    for await (const piece of this.body ?? []) pieces.push(piece as Bytes);
    const all = new Uint8Array(pieces.reduce((sum, p) => sum + p.length, 0));
    let length = 0;
    for (const piece of pieces) {
      all.set(piece, length);
      length += piece.length;
    }
    return all.buffer;
  }

  async text(): Promise<string> {
    return new TextDecoder().decode(await this.arrayBuffer());
  }

  async json(): Promise<unknown> {
    return JSON.parse(await this.text());
  }
}

function streamOf(bytes: Bytes): ReadableStream<Bytes> {
  return new ReadableStream({
    start(controller) {
      if (bytes.length > 0) controller.enqueue(bytes);
      controller.close();
    },
  });
}

class Response extends Message {
  readonly status: number;
  readonly statusText = "";
  readonly url: string;
  constructor(
    body?: BodyInit,
    init: { status?: number; headers?: HeadersInit; url?: string } = {},
  ) {
    super(body, init.headers);
    this.status = init.status ?? 200;
    this.url = init.url ?? "";
  }
  get ok(): boolean {
    return this.status >= 200 && this.status < 300;
  }
}

class Request extends Message {
  readonly url: string;
  readonly method: string;
  readonly signal: AbortSignal;
  constructor(
    url: string | URL,
    init: {
      method?: string;
      headers?: HeadersInit;
      body?: BodyInit;
      signal?: AbortSignal | null;
    } = {},
  ) {
    super(init.body, init.headers);
    this.url = String(url);
    this.method = init.method ?? "GET";
    this.signal = init.signal ?? new AbortSignal();
  }
}

/** Hands a stream of this context to the host: every piece at once, without a catch. */
export function handOver(stream: ReadableStream<Bytes>, id: number): void {
  const reader = stream.getReader();
  const next = async () => {
    const { value, done } = await reader.read();
    void perform("extend", { id, value, done });
    if (!done) void next();
  };
  void next();
}

async function fetch(
  url: string | URL,
  init: ConstructorParameters<typeof Request>[1],
): Promise<Response> {
  const request = new Request(url, init);
  const id = await perform<number>("stream");
  // The host ends the request when this stream ends. A second abort of the
  // signal closes it again, which throws, in a listener.
  handOver(
    new ReadableStream<Bytes>({
      start(controller) {
        request.signal.addEventListener("abort", () => controller.close());
      },
    }),
    id,
  );
  const { status, headers } = await perform<{
    status: number;
    headers: [string, string][];
  }>("fetch", {
    id,
    url: request.url,
    method: request.method,
    headers: [...request.headers].map(([name, value]) => [name, value]),
    body: request.body === null ? null : await request.text(),
  });
  const body = new ReadableStream<Bytes>({
    type: "bytes",
    async pull(controller) {
      const part = await perform<Bytes | null>("part", id);
      if (part === null) controller.close();
      else controller.enqueue(new Uint8Array(part));
    },
  });
  return new Response(body, { status, headers, url: request.url });
}

/** A signal that fires when the host says so. */
export function extractSignal(): AbortSignal {
  const controller = new AbortController();
  void perform("gone").then(() => controller.abort());
  return controller.signal;
}

Object.assign(context, host.globals, {
  self: context,
  process: { env: {} },
  AbortController,
  AbortSignal,
  ReadableStream,
  ReadableStreamBYOBReader,
  ReadableStreamDefaultReader,
  TransformStream,
  WritableStream,
  WritableStreamDefaultWriter,
  TextEncoder,
  TextDecoderStream,
  Request,
  Response,
  fetch,
  setTimeout: (run: () => void, ms?: number) => setTimer(run, ms),
  setInterval: (run: () => void, ms?: number) => setTimer(run, ms, true),
  clearTimeout: clearTimer,
  clearInterval: clearTimer,
});
Date.now = () => host.now();
