import {
  putToUse,
  readerFor,
  type Client,
  type QueryResult,
  type Snapshot,
  type Source,
  type Watcher,
} from "./stream-reader.js";
import type { Fetch, HeaderValues, ValueOrFunction } from "./post.js";

/** Options of `watchStream`. */
export interface WatchStreamOptions {
  /** The stream. */
  streamId: string;
  /** The URL of the HTTP action that returns `streaming.stream(…)`, if this page may drive the stream. */
  url?: URL | string | undefined;
  /**
   * Whether this page starts the stream: with true, it asks at once; with
   * `"auto"`, when the database says that the stream has not begun. Default: false.
   */
  driven?: boolean | "auto" | undefined;
  /** Reads what is new from the database instead of the whole text. The query has to take `from`. Default: false. */
  incremental?: boolean | undefined;
  /** Reads the last so much text (UTF-16 code units), and then what follows. The query has to take `tail`. */
  tail?: number | undefined;
  /** Further arguments of the query. */
  args?: Record<string, unknown> | undefined;
  /** What the query returned earlier, to begin with. */
  initial?: QueryResult | null | undefined;
  /** Added to the JSON that is sent, beside `streamId`. */
  body?: Record<string, unknown> | undefined;
  /** Added to the request. A function is called for each request, and may be async. */
  headers?: ValueOrFunction<HeaderValues | undefined> | undefined;
  /** Sent as `Authorization: Bearer …`. A function is called for each request, and may be async. */
  authToken?: ValueOrFunction<string | null | undefined> | undefined;
  /** Used instead of the platform's `fetch`. */
  fetch?: Fetch | undefined;
}

/** A stream that is being watched. */
export interface StreamWatch {
  /**
   * What there is to show: the same object until it changes.
   *
   * @throws What the query threw, while the text does not arrive over HTTP.
   */
  getSnapshot(): Snapshot;
  /** Calls back with each change, at most once a frame. Returns how to end that. */
  subscribe(listener: () => void): () => void;
  /** Ends the watching. The snapshot stays as it is. */
  close(): void;
}

/**
 * Watches a stream without React: what `useStream` shows, for Vue, Svelte, Solid
 * or a plain script.
 *
 * ```ts
 * const client = new ConvexClient(url);
 * const reply = watchStream(client, api.chat.getStreamBody, { streamId });
 * reply.subscribe(() => {
 *   output.textContent = reply.getSnapshot().text;
 * });
 * ```
 *
 * @param client A `ConvexClient` or a `ConvexReactClient`.
 * @param query The app's query that returns `streaming.getStreamBody(ctx, streamId)`.
 */
export function watchStream(
  client: Client,
  query: unknown,
  options: WatchStreamOptions,
): StreamWatch {
  const { url, driven = false, incremental = false, ...rest } = options;
  const source: Source = {
    tail: undefined,
    args: undefined,
    initial: undefined,
    ...rest,
    query,
    url: url === undefined ? null : String(url),
    driven,
    incremental,
  };
  const listeners = new Set<() => void>();
  const watcher: Watcher = {
    source,
    onChange: () => {
      for (const listener of [...listeners]) listener();
    },
  };
  const reader = putToUse(readerFor(client, source));
  reader.add(watcher);
  reader.update(watcher, source);
  return {
    getSnapshot: () => {
      const { snapshot, thrown } = reader.view;
      if (thrown !== null) throw thrown.error;
      return snapshot;
    },
    subscribe: (listener) => {
      // A function that is subscribed twice is called twice.
      const call = () => listener();
      listeners.add(call);
      return () => void listeners.delete(call);
    },
    close: () => {
      listeners.clear();
      reader.remove(watcher);
    },
  };
}
