"use client";
import { useConvex } from "convex/react";
import type {
  FunctionArgs,
  FunctionReference,
  FunctionReturnType,
} from "convex/server";
import {
  useEffect,
  useLayoutEffect,
  useRef,
  useState,
  useSyncExternalStore,
} from "react";
import {
  createParsedLines,
  type LineOptions,
  type LineSchema,
  type ParseLine,
  type SchemaResult,
} from "../browser/lines.js";
import { rendered, rendering } from "../browser/pace.js";
import type {
  Fetch,
  HeaderValues,
  ValueOrFunction,
} from "../browser/http-side.js";
import type { QueryResult } from "../browser/database-side.js";
import { addressOf } from "../browser/request.js";
import type {
  Snapshot,
  Source,
  StreamProblem,
  StreamReader,
  View,
  Watcher,
} from "../browser/stream-reader.js";
import {
  addWatcher,
  readerFor,
  removeWatcher,
} from "../browser/watch-stream.js";
import type {
  StreamBody,
  StreamId,
  StreamPage,
  StreamStatus,
} from "../shared.js";

export { InvalidLineError } from "../browser/lines.js";
export { useSmoothText, type SmoothTextOptions } from "./useSmoothText.js";
export { isFinal, isStreamError } from "../shared.js";
export type {
  Fetch,
  HeaderValues,
  LineOptions,
  LineSchema,
  ParseLine,
  SchemaResult,
  StreamProblem,
  ValueOrFunction,
};

/**
 * The app's query that returns the result of `getStreamBody`. It may take more
 * arguments and return more fields.
 */
export type StreamBodyQuery = FunctionReference<
  "query",
  "public",
  {
    /** The stream. */
    streamId: string;
  },
  {
    /** The text. */
    text: string;
    /** The stream's status. */
    status: StreamStatus;
  } | null
>;

/**
 * The type of `incremental`: true is allowed if the query takes `from` and returns
 * the page for it. `needs` is never a value: it is the compiler's message otherwise.
 */
export type Incremental<Query extends StreamBodyQuery> =
  "from" extends keyof FunctionArgs<Query>
    ? [Extract<FunctionReturnType<Query>, Pick<StreamPage, "next">>] extends [
        never,
      ]
      ? false | { needs: "a query that returns `from` and `next`, too" }
      : boolean
    : false | { needs: "a query that takes `from`: `args: streamBodyArgs`" };

/** The query's result, without null. */
export type Result<Query extends StreamBodyQuery> = NonNullable<
  FunctionReturnType<Query>
>;

/** The fields that the app's query returns next to the text and the status. */
export type FurtherFields<Body> = Body extends unknown
  ? Omit<Body, keyof QueryResult | "isLoading" | "retry">
  : never;

/** What `useStream` returns. */
export type UseStreamResult<Query extends StreamBodyQuery = StreamBodyQuery> = {
  /** The text so far. While the id stays the same, it only grows. */
  text: string;
  /** The stream's status. A final status never changes. */
  status: Result<Query>["status"] | "pending" | "streaming";
  /** Whether nothing is known about the stream yet. Its status is `pending` until then. */
  isLoading: boolean;
  /** Why the stream ended early, or why the HTTP action refused to write it. */
  error?: StreamProblem;
  /** Sends the request again, after the HTTP action refused it or failed. */
  retry: () => void;
} & Partial<FurtherFields<Result<Query>>>;

/** Options of `useStreamBody`. */
export interface UseStreamBodyOptions<
  Query extends StreamBodyQuery = StreamBodyQuery,
> {
  /**
   * Reads only new text from the database with each update, instead of the whole
   * text. The query must take `from`: give it `args: streamBodyArgs`. Default: false.
   */
  incremental?: Incremental<Query> | undefined;
  /**
   * Starts with this much text from the end (UTF-16 code units). The query must take
   * `tail`. `useStreamLines` leaves out the half line at the beginning.
   */
  tail?: number | undefined;
  /** Further arguments of the query. */
  args?: Omit<FunctionArgs<Query>, "streamId" | "from" | "tail"> | undefined;
  /**
   * The query's result on the server, for example
   * `await fetchQuery(api.chat.getStreamBody, { streamId })`. The first paint shows it.
   */
  initial?: FunctionReturnType<Query> | undefined;
}

/** Options of `useStream`. */
export interface UseStreamOptions<
  Query extends StreamBodyQuery = StreamBodyQuery,
> extends UseStreamBodyOptions<Query> {
  /**
   * Sent as `Authorization: Bearer …`. A function is called for each request, and may
   * be async.
   */
  authToken?: ValueOrFunction<string | null | undefined> | undefined;
  /** Added to the request. A function is called for each request, and may be async. */
  headers?: ValueOrFunction<HeaderValues | undefined> | undefined;
  /** Further fields of the request's JSON, next to `streamId`. */
  body?: Record<string, unknown> | undefined;
  /** Used instead of the platform's `fetch`. */
  fetch?: Fetch | undefined;
}

/**
 * Returns the text of a stream and its status, as they arrive.
 *
 * ```tsx
 * const { text, status } = useStream(
 *   api.chat.getStreamBody,
 *   `${siteUrl}/chat`,
 *   "auto",
 *   message.streamId,
 * );
 * ```
 *
 * The session that drives the stream sends one request to the HTTP action and shows
 * the text as it arrives. Every other session, and this one whenever HTTP delivers
 * nothing, subscribes to the saved text. The text never shrinks while the id stays
 * the same, unless the database has a different text. A final status never changes.
 * All components that show the same stream share one request and one text.
 *
 * @param getPersistentBody The app's query that returns
 *   `streaming.getStreamBody(ctx, streamId)`; with `incremental`, the one that
 *   returns `streaming.getStreamBody(ctx, streamId, from)`.
 * @param streamUrl The URL of the route or HTTP action that writes the stream. It may
 *   be a new object on every render, and null while nothing is driven.
 * @param driven Whether this session starts the stream. `true` sends the request at
 *   once, except that a page not yet connected to the database waits up to 0.3 s for it
 *   to say that the stream has ended. `"auto"` sends it if no one has started the
 *   stream, according to the database. So a reload sends none, and if a page dies
 *   before its request, the next one sends it.
 * @param streamId The stream. While it is undefined, null or `""`, nothing is
 *   requested, and the text is empty.
 * @throws The query's error, as `useQuery` does, unless the text arrives over HTTP.
 */
export function useStream<Query extends StreamBodyQuery>(
  getPersistentBody: Query,
  streamUrl: URL | string | null | undefined,
  driven: boolean | "auto",
  streamId: string | null | undefined,
  opts?: UseStreamOptions<Query>,
): UseStreamResult<Query>;
/** The signature of version 0.3, for apps that take its types: `ReturnType<typeof useStream>`. */
export function useStream(
  getPersistentBody: FunctionReference<
    "query",
    "public",
    { streamId: string },
    StreamBody
  >,
  streamUrl: URL,
  driven: boolean,
  streamId: StreamId | undefined,
  opts?: { authToken?: string | null; headers?: Record<string, string> },
): StreamBody;
export function useStream<Query extends StreamBodyQuery>(
  getPersistentBody: Query,
  streamUrl: URL | string | null | undefined,
  driven: boolean | "auto",
  streamId: string | null | undefined,
  opts?: UseStreamOptions<Query>,
): UseStreamResult<Query> {
  return useReader({
    ...opts,
    query: getPersistentBody,
    url: streamUrl ? addressOf(streamUrl) : null,
    driven,
    streamId,
  }) as UseStreamResult<Query>;
}

/**
 * The saved text and status of a stream that another session or the backend writes.
 *
 * ```tsx
 * const { text, status } = useStreamBody(api.chat.getStreamBody, streamId);
 * ```
 *
 * @param getPersistentBody As for `useStream`.
 * @param streamId As for `useStream`.
 * @throws The query's error, as `useQuery` does.
 */
export function useStreamBody<Query extends StreamBodyQuery>(
  getPersistentBody: Query,
  streamId: string | null | undefined,
  opts?: UseStreamBodyOptions<Query>,
): UseStreamResult<Query> {
  return useStream(getPersistentBody, null, false, streamId, opts);
}

/**
 * The values of a stream's complete lines, as they arrive. For line protocols such as
 * NDJSON, with `flush: "line"` in the backend.
 *
 * ```tsx
 * const body = useStream(api.chat.getStreamBody, url, "auto", streamId);
 * const events = useStreamLines<ChatEvent>(body);
 * ```
 *
 * A last line without a line break may be half a line, so it is left out unless the
 * stream is `done`.
 *
 * @param body The result of `useStream`, or an older one from `useDeferredValue`.
 * @param parse Returns the value of a line, or `undefined` to leave it out; or a
 *   schema (zod, valibot, arktype…) for lines of JSON. Each line is parsed once.
 *   Default: `JSON.parse`. Blank lines are left out.
 * @param options.onInvalid Handles a line that cannot be parsed. Like `parse`, it is
 *   called during render. Default: skip the line, and report the first one in the
 *   console.
 * @returns The same array until there are more lines.
 */
export function useStreamLines<T = unknown>(
  body: { text: string; status: StreamStatus },
  parse: ParseLine<T> | LineSchema<T> = JSON.parse,
  options?: LineOptions<T>,
): readonly T[] {
  // A cache that no render can notice, as `createParsedLines` explains.
  const [linesOf] = useState(() => createParsedLines<T>());
  return linesOf(body, parse, options?.onInvalid);
}

/** A component's view, and its reader. */
const shown = (reader: StreamReader) => ({ reader, view: reader.view });

/** Layout effects do nothing on a server, where React 18 warns about them. */
const useEffectBeforePaint =
  typeof window === "undefined" ? useEffect : useLayoutEffect;

function useReader(source: Source): Snapshot {
  const client = useConvex() as ReturnType<typeof useConvex> | undefined;
  if (client === undefined) {
    throw new Error("useStream needs a <ConvexProvider> around it.");
  }
  // While React hydrates, the page must match the server's, even if more is known by
  // now. This store never changes, so it blocks no one.
  const isHydrating = useSyncExternalStore(subscribeToNothing, no, yes);
  const find = (before?: StreamReader) => {
    const watchQuery = client.watchQuery.bind(client);
    return readerFor(client, watchQuery, source, before, isHydrating);
  };
  // Not `useSyncExternalStore` for the text: it makes every update synchronous, so no
  // transition on the page would complete while text arrives.
  const [state, show] = useState(() => shown(find()));
  let now = state;
  const reader = find(state.reader);
  if (reader !== state.reader) show((now = shown(reader)));
  const painted = useRef<View>(null);
  const watcher = useRef<Watcher>({
    source: null,
    isMounting: true,
    onChange: (inUse) => {
      // React does not render again what the page already shows.
      if (inUse.view !== painted.current) rendering();
      show((last) => (last.view === inUse.view ? last : shown(inUse)));
    },
  });
  useEffectBeforePaint(() => {
    const mine = watcher.current;
    // Only layout effects run when a <Suspense> boundary shows its content again.
    addWatcher(reader, mine);
    return () => {
      removeWatcher(mine);
      rendered();
    };
  }, [reader]);
  // Before paint, because React schedules a task of its own for other effects.
  useEffectBeforePaint(() => {
    painted.current = now.view;
    // The effects of this commit may sign the user in.
    if (source.driven !== watcher.current.source?.driven)
      watcher.current.isMounting = true;
    watcher.current.source = source;
    watcher.current.reader?.update(watcher.current);
    rendered();
  });
  useEffect(() => {
    // By now, the effects that sign the user in have run.
    watcher.current.isMounting = false;
    watcher.current.reader?.update(watcher.current);
  }, [reader, source.driven]);
  if (now.view.thrown !== null) throw now.view.thrown.error;
  return now.view.snapshot;
}

const subscribeToNothing = () => () => {};
const no = () => false;
const yes = () => true;
