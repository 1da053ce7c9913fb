"use client";
import { useConvex, type ConvexReactClient } from "convex/react";
import {
  getFunctionName,
  type FunctionArgs,
  type FunctionReference,
  type FunctionReturnType,
} from "convex/server";
import { useEffect, useState, useSyncExternalStore } from "react";
import type { ParseLine } from "../browser/lines.js";
import type { StreamId } from "../client/index.js";
import type { StreamBody, StreamPage } from "../shared.js";
import { ParsedLines } from "./lines.js";
import { StreamReader, type Shown, type Source } from "./reader.js";

/** The app's query that returns what `getStreamBody` does. */
export type StreamBodyQuery = FunctionReference<
  "query",
  "public",
  {
    /** The stream. */
    streamId: string;
  },
  StreamBody
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

/** Options of `useStream`. */
export interface UseStreamOptions<
  Query extends StreamBodyQuery = StreamBodyQuery,
> {
  /** Sent as `Authorization: Bearer …`. Its value at the time of the request counts. */
  authToken?: string | null;
  /** Added to the request. Their value at the time of the request counts. */
  headers?: HeadersInit;
  /**
   * With every update, read what is new from the database instead of the whole
   * text. The query has to take `from`: give it `args: streamBodyArgs`.
   * Default: false.
   */
  incremental?: Incremental<Query>;
}

/**
 * The text of a stream and its status, as they come.
 *
 * ```tsx
 * const { text, status } = useStream(
 *   api.chat.getStreamBody,
 *   new URL("/chat-stream", siteUrl),
 *   driven,
 *   message.responseStreamId,
 * );
 * ```
 *
 * The session that drives the stream asks the HTTP action for it, once, and
 * shows the text as it arrives. Every other session, and this one when the HTTP
 * response has ended for whatever reason, subscribes to the saved text. The
 * text that is shown never shrinks while the id stays the same, and a status
 * that was final never changes.
 *
 * @param getPersistentBody The app's query that returns
 *   `streaming.getStreamBody(ctx, streamId)`; with `incremental`, the one that
 *   returns `streaming.getStreamBody(ctx, streamId, from)`.
 * @param streamUrl The URL of the HTTP action that returns `streaming.stream(…)`.
 *   It may be a new object at each render.
 * @param driven Whether this session started the stream.
 * @param streamId The stream; while it is undefined, nothing is asked, and the
 *   result is that of a stream without text.
 * @throws What the query throws, as `useQuery` does.
 */
export function useStream<Query extends StreamBodyQuery>(
  getPersistentBody: Query,
  streamUrl: URL,
  driven: boolean,
  streamId: StreamId | undefined,
  opts?: UseStreamOptions<Query>,
): StreamBody {
  const client: ConvexReactClient | undefined = useConvex();
  if (client === undefined) {
    throw new Error(
      "useStream needs a Convex client: put a <ConvexProvider> (or the one of your auth provider) around the component that uses it.",
    );
  }
  // `new URL(…)`, `api.chat.…` and `{ headers }` are other objects at every
  // render; what counts is what they say.
  const source: Source = {
    query: getFunctionName(getPersistentBody),
    incremental: opts?.incremental === true,
    request: driven
      ? { url: String(streamUrl), headers: () => requestHeaders(opts) }
      : null,
  };
  const newReader = () => new StreamReader(client, streamId, source);
  const [kept, keep] = useState(newReader);
  let reader = kept;
  if (kept.streamId !== streamId || kept.client !== client) {
    reader = newReader();
    keep(reader);
  }
  useEffect(() => reader.update(source));
  const shown = useSyncExternalStore(
    reader.subscribe,
    reader.getShown,
    showNothing,
  );
  if ("error" in shown) throw shown.error;
  return shown.body;
}

/**
 * What the lines of a stream say: the values of those that are whole, as they
 * come. For line protocols such as NDJSON, with `flush: "line"` in the backend.
 *
 * ```tsx
 * const body = useStream(api.chat.getStreamBody, url, driven, streamId);
 * const events = useStreamLines<ChatEvent>(body);
 * ```
 *
 * A last line without a line break is left out, unless the stream is `done`: it
 * may be half a line.
 *
 * @param body What `useStream` gave.
 * @param parse Makes a value of a line, `undefined` of one that says nothing.
 *   Each line is parsed once. Default: `JSON.parse`. Blank lines are left out.
 * @returns The same array until there are more lines.
 * @throws An error with the line's number for one that `parse` threw at, with
 *   what it threw as its `cause`.
 */
export function useStreamLines<T = unknown>(
  body: StreamBody,
  parse: ParseLine<T> = JSON.parse,
): readonly T[] {
  const [lines] = useState(() => new ParsedLines<T>());
  return lines.of(body, parse);
}

const nothing = { body: { text: "", status: "pending" } } as const;
const showNothing = (): Shown => nothing;

function requestHeaders(opts?: {
  headers?: HeadersInit;
  authToken?: string | null;
}): Headers {
  const headers = new Headers(opts?.headers);
  if (!headers.has("Content-Type")) {
    headers.set("Content-Type", "application/json");
  }
  if (opts?.authToken) headers.set("Authorization", `Bearer ${opts.authToken}`);
  return headers;
}
