import type { FunctionReference, HttpRouter } from "convex/server";
import { v } from "convex/values";
import type { ComponentApi } from "../component/_generated/component.js";
import {
  DEFAULT_TIMEOUT_MS,
  isStreamError,
  statusOf03,
  streamError,
  vStreamId,
  type StreamBody,
  type StreamId,
  type StreamInfo,
  type StreamPage,
  type StreamStatus,
} from "../shared.js";
import { formatOffset, isOffset, wire } from "../protocol.js";
import { Body } from "./body.js";
import {
  claim,
  type RunActionCtx,
  type RunMutationCtx,
  type RunQueryCtx,
} from "./claim.js";
import { flushPolicy, type FlushOptions, type FlushPolicy } from "./flush.js";
import { emptyResponse, notFound, textResponse } from "./responses.js";
import { followText, resume, savedStream } from "./follow.js";
import {
  hookAPI,
  registerRoutes,
  type HookAPI,
  type HookAPIOptions,
  type RegisterRoutesOptions,
} from "./routes.js";
import { shown } from "./errors.js";
import { callbackOf, type CreateStreamOptions } from "./callback.js";
import { write, type ChunkAppender, type Written } from "./write.js";

export {
  isFinal,
  isStreamError,
  StreamIdValidator,
  vOnCompleteArgs,
  vStreamBody,
  vStreamId,
  vStreamPage,
  vStreamStatus,
} from "../shared.js";
export type {
  FinalStatus,
  OnCompleteArgs,
  StreamBody,
  StreamEnd,
  StreamError,
  StreamErrorData,
  StreamErrorKind,
  StreamId,
  StreamInfo,
  StreamPage,
  StreamStatus,
} from "../shared.js";
export type { CreateStreamOptions } from "./callback.js";
export type { Written } from "./write.js";
export type { FlushBoundary, FlushOptions } from "./flush.js";
export type {
  HookAPI,
  HookAPIOptions,
  RegisterRoutesOptions,
  StreamOperation,
  WriteCall,
} from "./routes.js";
export type { ChunkAppender };

/**
 * The arguments of a query that `useStream(…, { incremental: true })` reads.
 *
 * ```ts
 * export const getStreamBody = query({
 *   args: streamBodyArgs,
 *   handler: (ctx, { streamId, from, tail }) =>
 *     streaming.getStreamBody(ctx, streamId, { from, tail }),
 * });
 * ```
 */
export const streamBodyArgs = {
  /** The stream to read. */
  streamId: vStreamId,
  /** The offset to read from (UTF-16 code units); without it, all of the text is read. */
  from: v.optional(v.number()),
  /** How much of the end of the text to read (UTF-16 code units), if there is no `from`. */
  tail: v.optional(v.number()),
};

/**
 * Writes a stream that an HTTP request asked for: with `append`, or as an async
 * generator of strings. `signal` fires when the stream has been aborted or
 * deleted or has timed out; hand it on to the model's client.
 */
export type StreamWriter<Ctx> = {
  /** Apps of version 0.3 call their own writers so: without a signal. */
  (
    ctx: Ctx,
    request: Request,
    streamId: StreamId,
    append: ChunkAppender,
    ...noSignal: never[]
    // eslint-disable-next-line @typescript-eslint/no-explicit-any -- a promise there, and what `Written` allows here
  ): any;
  (
    ctx: Ctx,
    request: Request,
    streamId: StreamId,
    append: ChunkAppender,
    signal: AbortSignal,
  ): Written;
};

/** Writes a stream in the background, for `generate`. */
export type BackgroundWriter = (
  append: ChunkAppender,
  signal: AbortSignal,
) => Written;

/**
 * The functions of version 0.3, which every app's `_generated/api` has, also
 * one that was generated before this version was installed.
 */
type StreamingComponent = {
  lib: {
    // eslint-disable-next-line @typescript-eslint/no-empty-object-type -- as codegen writes it
    createStream: FunctionReference<"mutation", "internal", {}, string>;
    addChunk: FunctionReference<
      "mutation",
      "internal",
      { streamId: string; text: string; final: boolean },
      null
    >;
    setStreamStatus: FunctionReference<
      "mutation",
      "internal",
      { streamId: string; status: StreamStatus },
      null
    >;
    getStreamStatus: FunctionReference<
      "query",
      "internal",
      { streamId: string },
      StreamBody["status"]
    >;
    getStreamText: FunctionReference<
      "query",
      "internal",
      { streamId: string },
      StreamBody
    >;
  };
};

/** Options of `PersistentTextStreaming`. */
export interface PersistentTextStreamingOptions {
  /** When appended text is saved. Default: `"sentence"`, with the limits of `FlushOptions`. */
  flush?: "sentence" | "line" | FlushOptions;
  /**
   * How long (ms) a writer that has claimed a stream may show no sign of life
   * before the stream ends as `timeout`: from 1,000 to a day. Default: 2 minutes.
   * A live writer shows at least four signs in that time, also while it is
   * silent. Streams that nobody has claimed have 20 minutes.
   */
  timeoutMs?: number;
}

/**
 * Streams text to the browser that asked for it, and saves it as it goes.
 *
 * ```ts
 * const streaming = new PersistentTextStreaming(
 *   components.persistentTextStreaming,
 * );
 * ```
 */
export class PersistentTextStreaming {
  /** `components.persistentTextStreaming`, as it was given. */
  readonly component: ComponentApi;
  private readonly flush: FlushPolicy;
  private readonly timeoutMs: number;

  /**
   * @param component `components.persistentTextStreaming`, from the app's
   *   `_generated/api`.
   * @param options When text is saved, and when a silent writer counts as dead.
   * @throws TypeError for options that cannot be meant.
   */
  constructor(
    component: StreamingComponent,
    readonly options: PersistentTextStreamingOptions = {},
  ) {
    this.component = component as ComponentApi;
    const given: unknown = options ?? {};
    if (Object(given) !== given) {
      throw new TypeError(
        `The options of PersistentTextStreaming are an object, such as { flush: "line" }; these are ${shown(options)}.`,
      );
    }
    this.flush = flushPolicy(options?.flush);
    this.timeoutMs = checkTimeout(options?.timeoutMs);
  }

  /** Not before it is used: an app's tests may load its modules without components. */
  private get lib(): ComponentApi["lib"] {
    const { component } = this;
    if (Object(component) === component) return component.lib;
    throw new TypeError(
      `PersistentTextStreaming takes components.persistentTextStreaming, of the app's _generated/api; this is ${shown(component)}. Is the component in convex.config.ts, and did \`npx convex dev\` run since?`,
    );
  }

  /**
   * Creates a stream, with the status `pending`. Keep its id in a document of
   * your own.
   *
   * ```ts
   * const responseStreamId = await streaming.createStream(ctx);
   * await ctx.db.insert("userMessages", { ...args, responseStreamId });
   * ```
   *
   * With `onComplete`, the end of the stream and what the app makes of it are
   * one transaction:
   *
   * ```ts
   * const streamId = await streaming.createStream(ctx, {
   *   onComplete: internal.chat.onReplyEnd,
   *   context: { messageId },
   * });
   *
   * export const onReplyEnd = internalMutation({
   *   args: vOnCompleteArgs(v.object({ messageId: v.id("messages") })),
   *   handler: async (ctx, { status, context }) => {
   *     await ctx.db.patch(context.messageId, { status });
   *   },
   * });
   * ```
   *
   * @throws TypeError for an `onComplete` that is no function reference, or a
   *   `context` that is no Convex value or has more than 64 KiB. An error if
   *   `onComplete` is not deployed.
   */
  async createStream(
    ctx: RunMutationCtx,
    options: CreateStreamOptions = {},
  ): Promise<StreamId> {
    const onComplete = await callbackOf(options);
    const { createStream, createWithCallback } = this.lib;
    const id = onComplete
      ? await ctx.runMutation(createWithCallback, { onComplete })
      : await ctx.runMutation(createStream, {});
    return id as StreamId;
  }

  /**
   * Answers an HTTP request with the text that `writer` appends, and saves it.
   *
   * Runs the writer once per stream, whoever asks and how often. When it
   * returns, the status becomes `done`; when it throws, `error`, with all that
   * it had appended. The client may go away; the writer does not notice.
   *
   * ```ts
   * const chat = httpAction(async (ctx, request) => {
   *   const { streamId } = await request.json();
   *   const response = await streaming.stream(ctx, request, streamId, writer);
   *   response.headers.set("Access-Control-Allow-Origin", "*");
   *   return response;
   * });
   * ```
   *
   * @returns A response whose headers may be changed: 200 with the text as it
   *   is written; 205 and no body if the stream was started before or has
   *   ended; 404 with `{ "error": … }` if there is no such stream.
   */
  async stream<Ctx extends RunActionCtx>(
    ctx: Ctx,
    request: Request,
    streamId: StreamId,
    // `StreamWriter`, in one signature.
    writer: (
      ctx: Ctx,
      request: Request,
      streamId: StreamId,
      append: ChunkAppender,
      signal: AbortSignal,
    ) => Written,
  ): Promise<Response> {
    checkWriter("stream", writer);
    const claimed = await claim(this.lib, ctx, streamId, this.timeoutMs);
    if (!("stream" in claimed)) {
      if (claimed.status === null) return notFound(streamId);
      return emptyResponse(205);
    }
    const body = new Body();
    const writing = write(
      streamId,
      claimed.stream,
      this.flush,
      body,
      (append, signal) => writer(ctx, request, streamId, append, signal),
      {
        onSaved: (ending) => {
          if (!("error" in ending)) return;
          console.error(
            `Stream ${streamId} ended with an error:`,
            ending.error,
          );
        },
      },
      // Last of all: the end of the body ends the action on a deployment.
    ).then(() => body.close());
    // The writing goes on behind the response. But if the client has gone, the
    // response cannot be sent, and failing to send it would end the action.
    if (request.signal.aborted) await writing;
    return textResponse(body, { [wire.startOffset]: formatOffset(0) });
  }

  /**
   * Writes a stream with no HTTP request: from a scheduled action, say, or in
   * Node. Everybody follows it through the database.
   *
   * ```ts
   * export const answer = internalAction({
   *   args: { streamId: StreamIdValidator },
   *   handler: async (ctx, { streamId }) => {
   *     await streaming.generate(ctx, streamId as StreamId, async function* () {
   *       yield* model.textStream();
   *     });
   *   },
   * });
   * ```
   *
   * So an app can make sure that every message gets its reply, even if the tab
   * closes before it asks for it. In the mutation that creates the stream:
   *
   * ```ts
   * await ctx.scheduler.runAfter(5_000, internal.chat.answer, { streamId });
   * ```
   *
   * @param options.takeOver For jobs that are retried: claim the stream even if
   *   another writer has it, unless it has ended. That writer can save no more,
   *   and its signal fires. The new one appends behind what is saved, which
   *   `getStreamBody` tells it. If it throws, its text is saved and the stream
   *   stays open for the next attempt; if none comes within `timeoutMs`, the
   *   stream ends as `error`, for that reason.
   * @returns `true` when everything is saved. That the stream was aborted,
   *   deleted or taken over, or timed out meanwhile is no error. `false`, without
   *   running the writer, if another has claimed the stream or it has ended.
   * @throws What the writer threw, once what it had appended is saved; an error
   *   if there is no such stream.
   */
  async generate(
    ctx: RunActionCtx,
    streamId: StreamId,
    writer: BackgroundWriter,
    options: { takeOver?: boolean } = {},
  ): Promise<boolean> {
    checkWriter("generate", writer);
    const { lib, timeoutMs } = this;
    const takeOver = options.takeOver === true;
    const claimed = await claim(lib, ctx, streamId, timeoutMs, takeOver);
    if (!("stream" in claimed)) {
      if (claimed.status === null) throw streamNotFound(streamId);
      return false;
    }
    const { stream } = claimed;
    const ending = await write(streamId, stream, this.flush, null, writer, {
      takeOver,
    });
    if ("error" in ending) throw ending.error;
    return true;
  }

  /**
   * Answers an HTTP request with the text of a stream that somebody else
   * writes: what is saved from an offset on, then what comes, to the end of the
   * stream. For clients that have no subscription; `readStream` is one.
   *
   * ```ts
   * const resume = httpAction((ctx, request) => {
   *   const streamId = new URL(request.url).searchParams.get("streamId");
   *   return streaming.resume(ctx, request, streamId as StreamId);
   * });
   * ```
   *
   * The action looks at the database four times a second while text comes, and
   * less and less often, to every two seconds, while it does not.
   *
   * With `live=long-poll` in the URL, the response is complete as soon as it has
   * any text: for clients that cannot read a body in pieces.
   *
   * @param options.from The offset to begin at (UTF-16 code units): how much of
   *   the text the client has. Default: the `offset` in the request's URL, or 0.
   * @param options.tail Begin with so many code units of the end of the text
   *   instead. Default: the `tail` in the request's URL.
   * @returns A response whose headers may be changed.
   *   - 200 with the text. It starts at the offset in `Stream-Offset`, and
   *     `Stream-Next-Offset` is the one behind what was saved by now. With
   *     `Stream-Closed: true`, that is all there will be. Without, more follows
   *     until the stream has ended; but the response may end before the stream
   *     does, after 9 minutes at the latest: ask again from where it ended. A
   *     long-poll for which nothing comes in 20 s is answered without text.
   *   - 204 if the stream has ended and there is nothing behind the offset.
   *   - 400 with `{ "error": … }` for an offset, tail or `live` that is none.
   *   - 404 with `{ "error": … }` if there is no such stream.
   *
   *   `Stream-Status` says what the stream is up to.
   */
  async resume(
    ctx: RunQueryCtx,
    request: Request,
    streamId: StreamId,
    options: { from?: number | undefined; tail?: number | undefined } = {},
  ): Promise<Response> {
    const stream = savedStream(this.lib, ctx, streamId);
    return resume(stream, request, streamId, options);
  }

  /**
   * The text of a stream that somebody else writes, in an action: what is saved
   * from an offset on, then what comes, to the end of the stream. For actions
   * that build a format of their own, such as JSON or a webhook.
   *
   * ```ts
   * for await (const text of streaming.follow(ctx, streamId)) {
   *   await send(text);
   * }
   * const status = await streaming.getStreamStatus(ctx, streamId);
   * ```
   *
   * It reads the database as often as `resume` does. An action may run for 30
   * minutes; go on in another one from the offset behind what came.
   *
   * @param options.from The offset to begin at (UTF-16 code units). Default: 0.
   *   Where it would cut a character in two, the text starts one before it.
   * @throws TypeError for an offset that is none. While iterating: an error if
   *   there is no such stream or it is deleted.
   */
  follow(
    ctx: RunQueryCtx,
    streamId: StreamId,
    options: { from?: number | undefined } = {},
  ): AsyncIterable<string> {
    const { from = 0 } = options;
    if (!isOffset(from)) {
      throw new TypeError(
        `follow() begins at an offset, a whole number from 0 on (UTF-16 code units); this one is ${shown(from)}.`,
      );
    }
    const stream = savedStream(this.lib, ctx, streamId);
    return followText(stream, streamId, { from });
  }

  /**
   * The status of a stream: one of all six. A stream that does not exist reads
   * as `error`. Cheaper than the text: a query that only asks for the status
   * runs again when the status changes, not with each sentence.
   */
  async getStreamStatus(
    ctx: RunQueryCtx,
    streamId: StreamId,
  ): Promise<StreamStatus> {
    const status = await ctx.runQuery(this.lib.getStatus, { streamId });
    return status ?? "error";
  }

  /**
   * The saved text of a stream from an offset on, and its status. Text of more
   * than 4 MiB comes in pages: go on from the page's `next` until its status is
   * final. A stream that does not exist reads as `error`.
   *
   * @param from An offset into the text (UTF-16 code units).
   * @throws If `from` is not an offset.
   */
  getStreamBody(
    ctx: RunQueryCtx,
    streamId: StreamId,
    from: number,
  ): Promise<StreamPage>;
  /**
   * The end of the saved text, and its status. Go on from the page's `next`.
   *
   * @param options.tail How much of the end (UTF-16 code units); one more where
   *   that would cut a character in two.
   * @param options.from An offset to read from instead.
   */
  getStreamBody(
    ctx: RunQueryCtx,
    streamId: StreamId,
    options: { tail: number; from?: number | undefined },
  ): Promise<StreamPage>;
  /** One or the other, as a query with `args: streamBodyArgs` is asked for it. */
  getStreamBody(
    ctx: RunQueryCtx,
    streamId: StreamId,
    options:
      | number
      | { from?: number | undefined; tail?: number | undefined }
      | undefined,
  ): Promise<StreamBody | StreamPage>;
  /**
   * All the saved text of a stream, and its status. A stream that does not
   * exist reads as `error`, one that was aborted as `done`: this shape keeps
   * the five statuses of version 0.3.
   *
   * @throws If there is more text than one query may return (16 MiB); read that
   *   in pages, with `from`.
   */
  getStreamBody(ctx: RunQueryCtx, streamId: StreamId): Promise<StreamBody>;
  async getStreamBody(
    ctx: RunQueryCtx,
    streamId: StreamId,
    options?: number | { from?: number | undefined; tail?: number | undefined },
  ): Promise<StreamBody | StreamPage> {
    const { read } = this.lib;
    const { from, tail } = rangeOf(options);
    checkTail(tail);
    const page = await ctx.runQuery(read, { streamId, from, tail });
    if (from === undefined && tail === undefined) {
      const { text, status } = page ?? noStream;
      return { text, status: statusOf03(status) };
    }
    if (page === null) {
      const offset = from ?? 0;
      return { ...noStream, from: offset, next: offset, claimed: false };
    }
    const { upToDate: _, draining: __, ...rest } = page;
    return rest;
  }

  /**
   * Everything about a stream but its text: its status, times, length, what its
   * writer returned, and why it ended. Null if there is no such stream.
   *
   * ```ts
   * const info = await streaming.getStreamInfo(ctx, streamId);
   * if (info?.firstTextAt) console.log(info.firstTextAt - info.createdAt, "ms");
   * ```
   */
  async getStreamInfo(
    ctx: RunQueryCtx,
    streamId: StreamId,
  ): Promise<StreamInfo | null> {
    return ctx.runQuery(this.lib.getStreamInfo, { streamId });
  }

  /**
   * Stops a stream: its status becomes `aborted`, and its writer's signal fires
   * within about a second. What was appended until then is saved. No effect on
   * a stream that has ended or been deleted.
   */
  async abortStream(ctx: RunMutationCtx, streamId: StreamId): Promise<void> {
    await ctx.runMutation(this.lib.abort, { streamId });
  }

  /**
   * Deletes a stream and its text. A writer that is at it is stopped.
   *
   * Deleting a stream again changes nothing and is no error.
   *
   * @throws For an id that no stream ever had.
   */
  async deleteStream(ctx: RunMutationCtx, streamId: StreamId): Promise<void> {
    try {
      await ctx.runMutation(this.lib.deleteStream, { streamId });
    } catch (error) {
      // An id of a stream, and no stream: it has been deleted before.
      if (!isStreamError(error, "StreamNotFound")) throw error;
    }
  }

  /**
   * Makes the functions that a page and its routes need: `getStreamBody` for
   * the hooks, `abortStream` for a Stop button, and `authorizeStream`, an
   * internal query for `registerRoutes`. Export all three.
   *
   * ```ts
   * // convex/chat.ts
   * export const { getStreamBody, abortStream, authorizeStream } =
   *   streaming.hookAPI({
   *     authorize: async (ctx: QueryCtx, { streamId }) => {
   *       const message = await ctx.db
   *         .query("messages")
   *         .withIndex("byStream", (q) => q.eq("streamId", streamId))
   *         .unique();
   *       if (message?.owner !== (await getAuthUserId(ctx))) {
   *         throw new ConvexError("This reply is not yours.");
   *       }
   *     },
   *   });
   * ```
   *
   * @param options.authorize Called with the app's `ctx` and
   *   `{ streamId, operation }` before anything is read or stopped. It throws to
   *   refuse. `operation` is `"read"`, `"write"` or `"abort"`, so followers of a
   *   shared chat may be allowed to read and not to stop.
   * @throws TypeError if there is no such function.
   */
  hookAPI(options: HookAPIOptions): HookAPI {
    return hookAPI(this, options);
  }

  /**
   * Registers the HTTP routes of a chat, with CORS: POST `path` writes a stream
   * and streams it to the caller, GET `path?streamId=…&offset=…` reads it.
   *
   * ```ts
   * // convex/http.ts
   * const http = httpRouter();
   * streaming.registerRoutes(http, {
   *   path: "/chat",
   *   authorize: internal.chat.authorizeStream,
   *   write: async function* (ctx, { streamId, signal }) {
   *     const prompt = await ctx.runQuery(internal.chat.getPrompt, { streamId });
   *     yield* answer(prompt, signal);
   *   },
   * });
   * export default http;
   * ```
   *
   * Everyone who may write a stream may be the one whose request starts its
   * writer. So `write` must find the user in the app's own tables, by
   * `streamId`, and never in `ctx.auth`.
   *
   * The routes answer as `stream()` and `resume()` do, and every problem as
   * `{ "error": … }`: 400 for a request that names no stream, 403 with the
   * message of a `ConvexError` from `authorize`, 404 for an unknown stream, and
   * 500 for anything else, which is logged and not sent.
   *
   * @param http What `httpRouter()` returned. With `corsRouter(http)`, pass that
   *   `http`.
   * @throws TypeError for options that cannot be meant.
   */
  registerRoutes(http: HttpRouter, options: RegisterRoutesOptions): void {
    registerRoutes(this, http, options);
  }
}

const noStream = { text: "", status: "error" } as const;

const SECOND_MS = 1000;
const DAY_MS = 24 * 60 * 60 * SECOND_MS;

function checkTimeout(timeoutMs: unknown = DEFAULT_TIMEOUT_MS): number {
  if (
    typeof timeoutMs === "number" &&
    timeoutMs >= SECOND_MS &&
    timeoutMs <= DAY_MS
  ) {
    return timeoutMs;
  }
  throw new TypeError(
    `timeoutMs must be a number of milliseconds from 1,000 to 86,400,000 (a day); it is ${shown(timeoutMs)}.`,
  );
}

/** What was asked of `getStreamBody`. What is neither an offset nor options is taken for an offset, and refused as one. */
function rangeOf(
  options: number | { from?: number; tail?: number } | undefined,
): { from?: number; tail?: number } {
  const isRange = "from" in Object(options) || "tail" in Object(options);
  if (isRange) return options as { from?: number; tail?: number };
  return options === undefined ? {} : { from: options as number };
}

function checkTail(tail: unknown): void {
  if (tail === undefined) return;
  if (typeof tail === "number" && isOffset(tail)) return;
  throw new TypeError(
    `tail must say how much of the text's end to read, a whole number from 0 on (UTF-16 code units); it is ${shown(tail)}.`,
  );
}

/** Before the stream is claimed: it could not be written a second time. */
function checkWriter(method: string, writer: unknown): void {
  if (typeof writer === "function") return;
  throw new TypeError(
    `${method}() takes a writer, a function that appends text or an async generator function; this is ${shown(writer)}.`,
  );
}

function streamNotFound(streamId: string): Error {
  return streamError(
    "StreamNotFound",
    streamId,
    `There is no stream ${shown(streamId)}; it may have been deleted. Create a stream with createStream(ctx) first.`,
  );
}
