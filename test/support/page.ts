/** A page without a framework, whose Convex client and HTTP action answer as a test says. */
import { afterEach, beforeEach, expect, vi } from "vitest";
import {
  watchStream,
  type QueryResult,
  type StreamWatch,
  type WatchStreamOptions,
} from "../../src/browser/index.js";
import { pass } from "./clock.js";

/** A Convex client, and the number of its subscriptions. */
export function clientOf(
  answer: (args: Record<string, unknown>) => unknown,
  hasEverConnected = true,
) {
  const listeners = new Set<() => void>();
  const watch = (args: Record<string, unknown>) => ({
    localQueryResult: () => answer(args),
    onUpdate(listener: () => void) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  });
  return {
    open: () => listeners.size,
    tell: () => {
      for (const listener of [...listeners]) listener();
    },
    watch,
    watchQuery: (_: never, args: never) => watch(args),
    connectionState: () => ({ hasEverConnected }),
  };
}

/** A response whose body a test writes. */
export function streamed(headers: Record<string, string> = {}) {
  const cancelled = vi.fn();
  let body!: ReadableStreamDefaultController<Uint8Array>;
  const stream = new ReadableStream<Uint8Array>({
    start: (controller) => void (body = controller),
    cancel: cancelled,
  });
  return {
    response: new Response(stream, { headers }),
    cancelled,
    write: async (text: string) => {
      body.enqueue(new TextEncoder().encode(text));
      await pass(150);
    },
    end: async () => {
      body.close();
      await pass(150);
    },
    fail: async () => {
      body.error(new TypeError("terminated"));
      await pass(150);
    },
  };
}

/** Silences the console, and collects what it is told. */
export function collectLog(lines: string[] = []): string[] {
  for (const method of ["error", "warn"] as const) {
    vi.spyOn(console, method).mockImplementation((...said: unknown[]) => {
      lines.push(said.map(String).join(" "));
    });
  }
  return lines;
}

type Answer = Response | Promise<Response> | Error;

class Page {
  readonly url = "https://app.test/chat?key=hush";
  /** What the query answers or throws. */
  answer: unknown;
  client = this.newClient();
  /** What the console was told. */
  readonly logged: string[] = [];
  /** The requests to the HTTP action. */
  readonly requests: {
    headers: Headers;
    body: unknown;
    signal: AbortSignal;
  }[] = [];
  readonly watched: StreamWatch[] = [];

  /** The client of a page that has just been loaded, or has been connected before. */
  newClient(hasEverConnected = true) {
    return clientOf(() => {
      if (this.answer instanceof Error) throw this.answer;
      return this.answer;
    }, hasEverConnected);
  }

  /** Changes what the query answers or throws, and lets the page show it. */
  async say(next: QueryResult | Error | null | undefined) {
    this.answer = next;
    this.client.tell();
    await pass(150);
  }

  /** Watches a stream that the page drives. */
  async watch(
    respond: (attempt: number) => Answer,
    options: Partial<WatchStreamOptions> = {},
    client: object = this.client,
    ms = 150,
  ) {
    const watching = watchStream(client as never, "chat:body", {
      ...{ streamId: "stream", url: this.url, driven: true, authToken: "hush" },
      fetch: async (_, { headers, body, signal }) => {
        this.requests.push({
          headers: new Headers(headers),
          body: JSON.parse(body as string),
          signal: signal!,
        });
        const given = respond(this.requests.length);
        if (given instanceof Error) throw given;
        return new Promise((resolve, reject) => {
          void Promise.resolve(given).then(resolve);
          const fail = () => reject(new DOMException("Gone.", "AbortError"));
          signal!.addEventListener("abort", fail);
        });
      },
      ...options,
    });
    this.watched.push(watching);
    await pass(ms);
    return { now: () => watching.getSnapshot(), watching };
  }
}

/** Gives each test of a file a page. After each, nothing may be left of it. */
export function usePage() {
  const page = new Page();
  beforeEach(() => {
    vi.useFakeTimers();
    page.answer = undefined;
    page.client = page.newClient();
    collectLog(page.logged);
  });
  afterEach(async () => {
    for (const watching of page.watched.splice(0)) watching.close();
    await pass(6000);
    expect(page.client.open()).toBe(0);
    expect(vi.getTimerCount()).toBe(0);
    expect(page.logged.splice(0).join()).not.toContain("hush");
    page.requests.length = 0;
    vi.restoreAllMocks();
    vi.unstubAllGlobals();
    vi.useRealTimers();
  });
  return page;
}
