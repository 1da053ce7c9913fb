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
  ParsedLines,
  sourceOf,
  type LineOptions,
  type LineSchema,
  type ParseLine,
  type SchemaResult,
} from "../browser/lines.js";
import { rendered, rendering } from "../browser/pace.js";
import type { Fetch, HeaderValues, ValueOrFunction } from "../browser/post.js";
import {
  firstSnapshot,
  putToUse,
  readerFor,
  type QueryResult,
  type Source,
  type StreamProblem,
  type StreamReader,
  type View,
  type Watcher,
} from "../browser/stream-reader.js";
import type { StreamPage, StreamStatus } from "../shared.js";

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

/** The app's query that returns what `getStreamBody` does. It may take further arguments and return further fields. */
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
    /** What the stream is up to. */
    status: StreamStatus;
  } | null
>;

/**
 * What `incremental` may be: true, if the query takes `from` and returns the
 * page that `getStreamBody` gives for it. `needs` is never a value; it is what
 * the compiler shows to someone whose query does not.
 */
export type Incremental<Query extends StreamBodyQuery> =
  "from" extends keyof FunctionArgs<Query>
    ? [Extract<FunctionReturnType<Query>, Pick<StreamPage, "next">>] extends [
        never,
      ]
      ? false | { needs: "a query that returns `from` and `next`, too" }
      : boolean
    : false | { needs: "a query that takes `from`: `args: streamBodyArgs`" };

/** What the query returns, if it does not return null. */
export type Result<Query extends StreamBodyQuery> = NonNullable<
  FunctionReturnType<Query>
>;

/** The fields that the app's query returns beside the text and its status. */
export type FurtherFields<Body> = Body extends unknown
  ? Omit<Body, keyof QueryResult | "isLoading" | "retry">
  : never;

/** What `useStream` returns. */
export type UseStreamResult<Query extends StreamBodyQuery = StreamBodyQuery> = {
  /** The text so far. While the id stays the same, it only grows. */
  text: string;
  /** What the stream is up to. A final status never changes. */
  status: Result<Query>["status"] | "pending" | "streaming";
  /** Whether nothing is known of the stream yet. Until then its status is `pending`. */
  isLoading: boolean;
  /** Why the stream ended in `error`, or why the HTTP action refused to write it. */
  error?: StreamProblem;
  /** Asks again, after the HTTP action has refused or failed. */
  retry: () => void;
} & Partial<FurtherFields<Result<Query>>>;

/** Options of `useStreamBody`. */
export interface UseStreamBodyOptions<
  Query extends StreamBodyQuery = StreamBodyQuery,
> {
  /**
   * With every update, read what is new from the database instead of the whole
   * text. The query has to take `from`: give it `args: streamBodyArgs`.
   * Default: false.
   */
  incremental?: Incremental<Query> | undefined;
  /** Reads the last so much text (UTF-16 code units), and then what follows. The query has to take `tail`. */
  tail?: number | undefined;
  /** Further arguments of the query. */
  args?: Omit<FunctionArgs<Query>, "streamId" | "from" | "tail"> | undefined;
  /**
   * What the query returned on the server, for example
   * `await fetchQuery(api.chat.getStreamBody, { streamId })`. The first paint
   * shows it.
   */
  initial?: FunctionReturnType<Query> | undefined;
}

/** Options of `useStream`. */
export interface UseStreamOptions<
  Query extends StreamBodyQuery = StreamBodyQuery,
> extends UseStreamBodyOptions<Query> {
  /**
   * Sent as `Authorization: Bearer …`, with its value at the time of the
   * request. A function is called for each request, and may be async.
   */
  authToken?: ValueOrFunction<string | null | undefined> | undefined;
  /** Added to the request, with their value at that time. A function is called for each request, and may be async. */
  headers?: ValueOrFunction<HeaderValues | undefined> | undefined;
  /** Added to the JSON that is sent, beside `streamId`. */
  body?: Record<string, unknown> | undefined;
  /** Used instead of the platform's `fetch`. */
  fetch?: Fetch | undefined;
}

/**
 * The text of a stream and its status, as they come.
 *
 * ```tsx
 * const { text, status } = useStream(
 *   api.chat.getStreamBody,
 *   new URL("/chat-stream", siteUrl),
 *   "auto",
 *   message.responseStreamId,
 * );
 * ```
 *
 * The session that drives the stream asks the HTTP action for it, once, and
 * shows the text as it arrives. Every other session, and this one whenever HTTP
 * brings nothing, subscribes to the saved text. The text never shrinks while the
 * id stays the same, unless the database says that it is another one. A status
 * that was final never changes. All components that show the same stream share
 * one request and one text.
 *
 * @param getPersistentBody The app's query that returns
 *   `streaming.getStreamBody(ctx, streamId)`; with `incremental`, the one that
 *   returns `streaming.getStreamBody(ctx, streamId, from)`.
 * @param streamUrl The URL of the HTTP action that returns `streaming.stream(…)`.
 *   It may be a new object at each render, and null while nothing is driven.
 * @param driven Whether this session starts the stream. With true, it asks at
 *   once. With `"auto"`, it asks when the database says that the stream has not
 *   begun, so that a reload makes no request, and a page that died before its
 *   request leaves no stream that nobody writes.
 * @param streamId The stream. While it is undefined, null or `""`, nothing is
 *   asked, and the result is that of a stream without text.
 * @throws What the query throws, as `useQuery` does; but not while the text
 *   arrives over HTTP.
 */
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
    url: streamUrl ? String(streamUrl) : null,
    driven,
    streamId,
    incremental: opts?.incremental === true,
    tail: opts?.tail,
    args: opts?.args,
    initial: opts?.initial,
  }) as UseStreamResult<Query>;
}

/**
 * The text of a stream that another session or the backend writes, and its
 * status, as they are saved.
 *
 * ```tsx
 * const { text, status } = useStreamBody(api.chat.getStreamBody, streamId);
 * ```
 *
 * @param getPersistentBody As for `useStream`.
 * @param streamId As for `useStream`.
 * @throws What the query throws, as `useQuery` does.
 */
export function useStreamBody<Query extends StreamBodyQuery>(
  getPersistentBody: Query,
  streamId: string | null | undefined,
  opts?: UseStreamBodyOptions<Query>,
): UseStreamResult<Query> {
  return useStream(getPersistentBody, null, false, streamId, opts);
}

/**
 * What the lines of a stream say: the values of those that are whole, as they
 * come. For line protocols such as NDJSON, with `flush: "line"` in the backend.
 *
 * ```tsx
 * const body = useStream(api.chat.getStreamBody, url, "auto", streamId);
 * const events = useStreamLines<ChatEvent>(body);
 * ```
 *
 * A last line without a line break is left out, unless the stream is `done`: it
 * may be half a line.
 *
 * @param body What `useStream` returned, or an older one, as `useDeferredValue`
 *   gives it.
 * @param parse Makes a value of a line, `undefined` of one that says nothing; or
 *   a schema (zod, valibot, arktype…) for lines of JSON. Each line is parsed
 *   once. Default: `JSON.parse`. Blank lines are left out.
 * @param options.onInvalid What becomes of a line that cannot be parsed. It is
 *   called while rendering, as `parse` is. Default: the line is skipped, and the
 *   first one reported in the console.
 * @returns The same array until there are more lines.
 */
export function useStreamLines<T = unknown>(
  body: { text: string; status: StreamStatus },
  parse: ParseLine<T> | LineSchema<T> = JSON.parse,
  options?: LineOptions<T>,
): readonly T[] {
  // A cache: it only adds to what it knows, so what a rendering gets depends on
  // its own body alone.
  const [lines] = useState(() => new ParsedLines<T>(parse));
  return lines.of(body, sourceOf(body), parse, options?.onInvalid);
}

/** What a component shows, and whose it is. */
interface Shown {
  reader: StreamReader;
  view: View;
}

const shown = (reader: StreamReader): Shown => ({ reader, view: reader.view });

/** Layout effects do nothing on a server, and React 18 says so. */
const useEffectBeforePaint =
  typeof window === "undefined" ? useEffect : useLayoutEffect;

function useReader(source: Source): View["snapshot"] {
  const client = useConvex() as ReturnType<typeof useConvex> | undefined;
  if (client === undefined) {
    throw new Error(
      "useStream needs a Convex client: put a <ConvexProvider> (or the one of your auth provider) around the component that uses it.",
    );
  }
  // Not `useSyncExternalStore` for the text: it makes every update synchronous,
  // and no transition on the page would complete while text arrives.
  const [state, show] = useState(() => shown(readerFor(client, source)));
  let now = state;
  if (!state.reader.reads(client, source)) {
    now = shown(readerFor(client, source, state.reader));
    show(now);
  }
  const { reader } = now;
  const latest = useRef<Source | null>(null);
  const tell = useRef<((source: Source) => void) | null>(null);
  useEffectBeforePaint(() => {
    const inUse = putToUse(reader);
    const watcher: Watcher = {
      source: null,
      onChange: () => {
        rendering();
        show(shown(inUse));
      },
    };
    inUse.add(watcher);
    tell.current = (source) => inUse.update(watcher, source);
    // Only this effect runs when a <Suspense> boundary shows its content again.
    if (latest.current !== null) tell.current(latest.current);
    // It may have changed since it was rendered, or be another component's.
    show((last) => (last.view === inUse.view ? last : shown(inUse)));
    return () => {
      inUse.remove(watcher);
      rendered();
    };
  }, [reader]);
  useEffect(() => {
    latest.current = source;
    tell.current?.(source);
    rendered();
  });
  // While React hydrates, the page has to be what the server rendered, even if
  // more is known by now. This store never changes, so it starves nobody.
  const isHydrating = useSyncExternalStore(subscribeToNothing, no, yes);
  if (isHydrating) return firstSnapshot(source);
  if (now.view.thrown !== null) throw now.view.thrown.error;
  return now.view.snapshot;
}

const subscribeToNothing = () => () => {};
const no = () => false;
const yes = () => true;
