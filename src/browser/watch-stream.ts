import {
  putToUse,
  readerFor,
  type Client,
  type QueryResult,
  type Snapshot,
  type Source,
  type Watcher,
} from "./stream-reader.js";
import { addressOf } from "./request.js";
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
  /** Reads only new text from the database with each update. The query must take `from`. Default: false. */
  incremental?: boolean | undefined;
  /** Starts with this much text from the end (UTF-16 code units). The query must take `tail`. */
  tail?: number | undefined;
  /** Further arguments of the query. */
  args?: Record<string, unknown> | undefined;
  /** An earlier result of the query, shown at first. */
  initial?: QueryResult | null | undefined;
  /** Further fields of the request's JSON, next to `streamId`. */
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
   * The current text, status and so on. The same object until something changes.
   *
   * @throws The query's error, unless the text arrives over HTTP.
   */
  getSnapshot(): Snapshot;
  /** Calls back after each change, at most once a frame. Returns a function that unsubscribes. */
  subscribe(listener: () => void): () => void;
  /** Stops watching. The snapshot stays as it is. */
  close(): void;
}

/**
 * `useStream` without React, for Vue, Svelte, Solid or a plain script.
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
    url: url === undefined ? null : addressOf(url),
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
