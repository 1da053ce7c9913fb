/**
 * The readers of a page: found by what they read, shared by all who show the same,
 * and kept for a moment after the last of them is gone. `watchStream` reads one
 * without a framework.
 */
import { isFinal } from "../shared.js";
import type { DatabaseWatch, QueryResult } from "./database-side.js";
import type { Fetch, HeaderValues, ValueOrFunction } from "./http-side.js";
import { addressOf } from "./request.js";
import {
  createReader,
  type Kept,
  type Snapshot,
  type Source,
  type StreamReader,
  type Surroundings,
  type View,
  type Watcher,
} from "./stream-reader.js";

/**
 * A reader that no one shows is kept for this long, because a route or a virtual list
 * may bring it back.
 */
const LINGER_MS = 5000;
/** How many unused readers are kept per client, and how many streams are remembered. */
const LINGERING = 50;
const REMEMBERED = 1000;

/**
 * What both of Convex's clients have. `hasEverConnected` identifies a page that has
 * just loaded.
 */
interface AnyClient {
  connectionState?(): { hasEverConnected?: boolean };
}

/** The part of a `ConvexReactClient` that is needed. */
interface ReactClient extends AnyClient {
  watchQuery(query: never, args: never): DatabaseWatch;
}

/** `ConvexReactClient`, or `ConvexClient`. */
export type Client =
  | ReactClient
  | (AnyClient & {
      onUpdate(
        query: never,
        args: never,
        onResult: (result: never) => unknown,
        onError: (error: Error) => unknown,
      ): () => void;
    });

const kept = new WeakMap<object, Kept>();

/** What a source reads, as a string. */
function identityOf({ query, streamId, incremental, tail, args }: Source) {
  const nameKey = Symbol.for("functionName");
  const { [nameKey]: name = query } = query as Record<symbol, unknown>;
  const further = JSON.stringify(args, (_, value: unknown) =>
    typeof value === "bigint" ? String(value) : value,
  );
  return [name, streamId, incremental === true, tail, further].join(" ");
}

/**
 * The reader for a source: the one in use, or a new one that requests nothing yet.
 *
 * @param isBlank Whether to show only the source's own content.
 */
export function readerFor(
  client: AnyClient,
  watchQuery: ReactClient["watchQuery"],
  source: Source,
  before?: StreamReader,
  isBlank?: boolean,
): StreamReader {
  const identity = identityOf(source);
  if (before?.client === client && before.identity === identity) {
    // Whatever its URL, because a request in progress continues.
    return before;
  }
  const shared: Kept = kept.get(client) ?? {
    readers: new Map(),
    begun: new Set(),
  };
  kept.set(client, shared);
  const key = `${identity} ${source.url}`;
  const surroundings: Surroundings = {
    client,
    identity,
    key,
    ...shared,
    watch: (args) => watchQuery(source.query as never, args as never),
    isBlank,
    isNew: client.connectionState?.().hasEverConnected === false,
  };
  const inUse = isBlank ? null : shared.readers.get(key);
  return inUse && !isBehind(inUse, before)
    ? inUse
    : createReader(source, surroundings, before);
}

/** Whether a reader shows less than another one of the same stream. */
const isBehind = (reader: StreamReader, before: StreamReader | undefined) =>
  before?.streamId === reader.streamId &&
  (endOf(before) > endOf(reader) || stageOf(before) > stageOf(reader));
const endOf = ({ prefix: { start }, view }: StreamReader) =>
  (start ?? 0) + view.snapshot.text.length;
/** 0 before the end, 1 for taken as done, 2 for an end that the database has reported. */
const stageOf = ({ prefix, view }: StreamReader) =>
  +isFinal(view.snapshot.status) + +isFinal(prefix.status);

/** Lets a watcher show a reader's state, or that of the one in use that reads the same. */
export function addWatcher(reader: StreamReader, watcher: Watcher): void {
  const { key, readers, begun } = reader;
  if (begun.size > REMEMBERED) begun.clear();
  const inUse = readers.get(key) ?? reader;
  if (isBehind(inUse, reader)) inUse.adopt(reader);
  readers.set(key, inUse);
  clearTimeout(inUse.lingering);
  inUse.add(watcher);
}

function close(reader: StreamReader): void {
  clearTimeout(reader.lingering);
  reader.readers.delete(reader.key);
  reader.close();
}

/** Ends this. The reader is kept for a while. */
export function removeWatcher(watcher: Watcher): void {
  const { reader } = watcher;
  delete watcher.reader;
  reader?.remove(watcher);
  if (!reader?.isIdle()) return;
  const { key, readers } = reader;
  // At the end, because the oldest go first.
  readers.delete(key);
  readers.set(key, reader);
  reader.lingering = setTimeout(() => close(reader), LINGER_MS);
  const idle = [...readers.values()].filter((reader) => reader.isIdle());
  if (idle.length > LINGERING) close(idle[0]!);
}

/** Options of `watchStream`. */
export interface WatchStreamOptions {
  /** The stream. */
  streamId: string;
  /** The URL of the HTTP action that returns `streaming.stream(…)`, if this page may drive the stream. */
  url?: URL | string | undefined;
  /**
   * Whether this page starts the stream: at once with `true`, or with `"auto"` when
   * the database says that the stream has not begun. Default: false.
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
  /** Calls back after each change, at most once per frame. Returns a function that unsubscribes. */
  subscribe(listener: () => void): () => void;
  /** Stops watching: no listener is called any more, and the reader closes soon unless it is in use elsewhere. */
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
  const { url, driven = false } = options;
  const source: Source = {
    ...options,
    query,
    url: url === undefined ? null : addressOf(url),
    driven,
  };
  const listeners = new Set<() => void>();
  let seen: View | undefined;
  const watcher: Watcher = {
    source,
    onChange: ({ view }) => {
      if (view === seen) return;
      seen = view;
      for (const listener of [...listeners]) listener();
    },
  };
  const watchQuery: ReactClient["watchQuery"] =
    "watchQuery" in client
      ? client.watchQuery.bind(client)
      : (query, args) =>
          watchByClient(client.onUpdate.bind(client, query, args));
  addWatcher(readerFor(client, watchQuery, source), watcher);
  const reader = watcher.reader!;
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
      removeWatcher(watcher);
    },
  };
}

/** A subscription by `ConvexClient`, as `ConvexReactClient` has it. */
function watchByClient(
  onUpdate: (
    onResult: (result: unknown) => void,
    onError: (error: Error) => void,
  ) => () => void,
): DatabaseWatch {
  let read: () => unknown = () => undefined;
  return {
    onUpdate: (listener) => {
      const say = (next: () => unknown) => {
        read = next;
        listener();
      };
      return onUpdate(
        (result) => say(() => result),
        (error) =>
          say(() => {
            throw error;
          }),
      );
    },
    localQueryResult: () => read(),
  };
}
