import type { HttpRouter } from "convex/server";
import type { ComponentApi } from "../component/_generated/component.js";
import {
  isStreamError,
  statusOf03,
  streamError,
  type StreamBody,
  type StreamId,
  type StreamInfo,
  type StreamPage,
  type StreamStatus,
} from "../shared.js";
import { formatOffset, isOffset, wire } from "../protocol.js";
import type { FlushPolicy } from "./flush.js";
import { Body, emptyResponse, notFound, textResponse } from "./responses.js";
import { followText, resume, savedStream } from "./follow.js";
import { hookAPI, type HookAPI, type HookAPIOptions } from "./hook-api.js";
import { registerRoutes, type RegisterRoutesOptions } from "./routes.js";
import { shown } from "./values.js";
import {
  callbackOf,
  checkOptions,
  rangeOf,
  type CreateStreamOptions,
  type PersistentTextStreamingOptions,
  type RunActionCtx,
  type RunMutationCtx,
  type RunQueryCtx,
  type StreamingComponent,
} from "./options.js";
import { claim, write, type ChunkAppender, type Written } from "./write.js";

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
export { streamBodyArgs } from "./options.js";
export type {
  CreateStreamOptions,
  PersistentTextStreamingOptions,
} from "./options.js";
export type { Written } from "./write.js";
export type { FlushBoundary, FlushOptions } from "./flush.js";
export type { HookAPI, HookAPIOptions, StreamOperation } from "./hook-api.js";
export type { RegisterRoutesOptions, WriteCall } from "./routes.js";
export type { ChunkAppender };

/**
 * Writes a stream for an HTTP request: with `append`, or as an async generator of
 * strings. `signal` fires when the stream is aborted, deleted or timed out. Pass it
 * to the model's client.
 */
export type StreamWriter<Ctx> = {
  /** How apps of version 0.3 call their own writers: without a signal. */
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
 * Streams text to the browser that asked for it, and saves it as it arrives.
 *
 * ```ts
 * const streaming = new PersistentTextStreaming(
 *   components.persistentTextStreaming,
 * );
 * ```
 */
export class PersistentTextStreaming {
  /** The `components.persistentTextStreaming` that was passed in. */
  readonly component: ComponentApi;
  private readonly flush: FlushPolicy;
  private readonly timeoutMs: number;

  /**
   * @param component `components.persistentTextStreaming`, from the app's
   *   `_generated/api`.
   * @param options When text is saved, and when a silent writer counts as dead.
   * @throws TypeError for invalid options.
   */
  constructor(
    component: StreamingComponent,
    readonly options: PersistentTextStreamingOptions = {},
  ) {
    this.component = component as ComponentApi;
    const { flush, timeoutMs } = checkOptions(options);
    this.flush = flush;
    this.timeoutMs = timeoutMs;
  }

  /** Resolved lazily, so tests can load an app's modules without installing the component. */
  private get lib(): ComponentApi["lib"] {
    const { component } = this;
    if (Object(component) === component) return component.lib;
    throw new TypeError(
      `PersistentTextStreaming needs components.persistentTextStreaming from the app's _generated/api, not ${shown(component)}. Add the component to convex.config.ts and run \`npx convex dev\`.`,
    );
  }

  /**
   * Creates a stream with the status `pending`. Store its id in a document of your
   * own.
   *
   * ```ts
   * const responseStreamId = await streaming.createStream(ctx);
   * await ctx.db.insert("userMessages", { ...args, responseStreamId });
   * ```
   *
   * With `onComplete`, your mutation runs in the transaction that ends the stream:
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
   * @throws TypeError if `onComplete` is not a function reference, or `context` is
   *   not a Convex value of at most 64 KiB. An error if `onComplete` is not deployed.
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
   * Runs the writer exactly once per stream, no matter how many requests arrive.
   * When it returns, the status becomes `done`. When it throws, the status becomes
   * `error`, and everything it had appended is saved. If the client leaves, the
   * writer continues.
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
   * @returns A response whose headers you may change: 200 with the text as it is
   *   written; 205 without a body if the stream was started before or has ended; 404
   *   with `{ "error": … }` if there is no such stream.
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
      // Comes last: on a deployment, the end of the body ends the action.
    ).then(() => body.close());
    // Writing continues after the response is returned. But if the client has left,
    // sending the response fails, which would end the action.
    if (request.signal.aborted) await writing;
    return textResponse(body, { [wire.startOffset]: formatOffset(0) });
  }

  /**
   * Writes a stream without an HTTP request, for example in a scheduled action or in
   * Node. Everyone follows it through the database.
   *
   * ```ts
   * export const answer = internalAction({
   *   args: { streamId: vStreamId },
   *   handler: async (ctx, { streamId }) => {
   *     const prompt = await ctx.runQuery(internal.chat.getPrompt, { streamId });
   *     await streaming.generate(ctx, streamId, (_append, signal) =>
   *       reply(prompt, signal),
   *     );
   *   },
   * });
   * ```
   *
   * Every message should get a reply, even if the tab closes before it sends its
   * request. So also schedule this action in the mutation that creates the stream:
   *
   * ```ts
   * await ctx.scheduler.runAfter(5_000, internal.chat.answer, { streamId });
   * ```
   *
   * @param options.takeOver For retried jobs: claims the stream even if it has
   *   another writer, unless it has ended. The other writer cannot save anything more,
   *   and its signal fires. The new one continues after the saved text, which it can
   *   read with `getStreamBody`. If it throws, its text is saved and the stream stays
   *   open for the next attempt. If none comes within `timeoutMs`, the stream ends as
   *   `error`, with the reason why this one failed.
   * @returns `true` once everything is saved, even if the stream was aborted, deleted,
   *   taken over or timed out meanwhile. `false`, without running the writer, if
   *   another writer has claimed the stream or it has ended.
   * @throws The writer's error, once everything it had appended is saved; an error if
   *   there is no such stream.
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
   * Answers an HTTP request with a stream's text from the requested offset on: what is
   * saved already, then new text as it is saved, until the stream ends. For clients
   * without a subscription, such as `readStream`.
   *
   * ```ts
   * const resume = httpAction((ctx, request) => {
   *   const streamId = new URL(request.url).searchParams.get("streamId");
   *   return streaming.resume(ctx, request, streamId as StreamId);
   * });
   * ```
   *
   * The action reads the database four times a second while text arrives. In a pause
   * it reads less often, down to every two seconds.
   *
   * With `live=long-poll` in the URL, the response ends as soon as it has text. That
   * is for clients that cannot read a body in pieces.
   *
   * @param options.from The offset to start at (UTF-16 code units): how much of the
   *   text the client has. Default: the `offset` in the request's URL, or 0.
   * @param options.tail Start this many code units before the end of the text instead.
   *   Default: the `tail` in the request's URL.
   * @returns A response whose headers you may change.
   *   - 200 with the text. It starts at the offset in `Stream-Offset`.
   *     `Stream-Next-Offset` is the end of the text saved so far. With
   *     `Stream-Closed: true`, that is all of it. Otherwise more follows until the
   *     stream ends. The response may end before the stream does, after 9 minutes at
   *     the latest: ask again from where it ended. A long-poll ends after 20 s, even if
   *     there is no text.
   *   - 204 if the stream has ended and has no text after the offset.
   *   - 400 with `{ "error": … }` for an invalid offset, `tail` or `live`.
   *   - 404 with `{ "error": … }` if there is no such stream.
   *
   *   `Stream-Status` has the stream's status.
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
   * Reads a stream in an action. Yields the text that is saved already, then new text as
   * it is saved, until the stream ends. Use it to forward the text to a webhook, for
   * example, or in your own format.
   *
   * ```ts
   * for await (const text of streaming.follow(ctx, streamId)) {
   *   await send(text);
   * }
   * const status = await streaming.getStreamStatus(ctx, streamId);
   * ```
   *
   * It reads the database as often as `resume` does. An action may run for 30 minutes;
   * to read on after that, continue in another one from the offset you have reached.
   *
   * @param options.from The offset to start at (UTF-16 code units). Default: 0. If it
   *   would split a character, the text starts one code unit earlier.
   * @throws TypeError for an invalid offset. While iterating: an error if the stream
   *   does not exist or is deleted.
   */
  follow(
    ctx: RunQueryCtx,
    streamId: StreamId,
    options: { from?: number | undefined } = {},
  ): AsyncIterable<string> {
    const { from = 0 } = options;
    if (!isOffset(from)) {
      throw new TypeError(
        `follow() starts at an offset, a whole number of 0 or more (UTF-16 code units), not ${shown(from)}.`,
      );
    }
    const stream = savedStream(this.lib, ctx, streamId);
    return followText(stream, streamId, { from });
  }

  /**
   * A stream's status, one of all six. A stream that does not exist reads as `error`.
   * Cheaper than the text: a query that reads only the status reruns when the status
   * changes, not for every sentence.
   */
  async getStreamStatus(
    ctx: RunQueryCtx,
    streamId: StreamId,
  ): Promise<StreamStatus> {
    const status = await ctx.runQuery(this.lib.getStatus, { streamId });
    return status ?? "error";
  }

  /**
   * Returns the saved text of a stream, starting at an offset, and the stream's status.
   * Text of more than 4 MiB comes in pages: continue from the page's `next` until its
   * status is final. A stream that does not exist reads as `error`.
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
   * The end of the saved text, and the stream's status. Continue from the page's
   * `next`.
   *
   * @param options.tail How much of the end to read (UTF-16 code units); one more if
   *   that would split a character.
   * @param options.from An offset to read from instead.
   */
  getStreamBody(
    ctx: RunQueryCtx,
    streamId: StreamId,
    options: { tail: number; from?: number | undefined },
  ): Promise<StreamPage>;
  /** Any of these, for a query with `args: streamBodyArgs`. */
  getStreamBody(
    ctx: RunQueryCtx,
    streamId: StreamId,
    options:
      | number
      | { from?: number | undefined; tail?: number | undefined }
      | undefined,
  ): Promise<StreamBody | StreamPage>;
  /**
   * All the saved text of a stream, and its status: one of version 0.3's five. A
   * stream that does not exist reads as `error`, an aborted one as `done`.
   *
   * @throws If there is more text than one query can return (15 MiB). Read it in
   *   pages, with `from`.
   */
  getStreamBody(ctx: RunQueryCtx, streamId: StreamId): Promise<StreamBody>;
  async getStreamBody(
    ctx: RunQueryCtx,
    streamId: StreamId,
    options?: number | { from?: number | undefined; tail?: number | undefined },
  ): Promise<StreamBody | StreamPage> {
    const { read } = this.lib;
    const { from, tail } = rangeOf(options);
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
   * Everything about a stream except its text: its status, times and length, its
   * writer's return value, and why it ended. Null if there is no such stream.
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
   * within about a second. Everything appended until then is saved. No effect on a
   * stream that has ended or been deleted.
   */
  async abortStream(ctx: RunMutationCtx, streamId: StreamId): Promise<void> {
    await ctx.runMutation(this.lib.abort, { streamId });
  }

  /**
   * Deletes a stream and its text, and stops its writer. Deleting it again has no
   * effect.
   *
   * @throws For a string that was never a stream's id.
   */
  async deleteStream(ctx: RunMutationCtx, streamId: StreamId): Promise<void> {
    try {
      await ctx.runMutation(this.lib.deleteStream, { streamId });
    } catch (error) {
      // A valid id without a stream: it was deleted before.
      if (!isStreamError(error, "StreamNotFound")) throw error;
    }
  }

  /**
   * Builds the functions that a page and its routes need: `getStreamBody` for the
   * hooks, `abortStream` for a Stop button, and `authorizeStream`, an internal query
   * for `registerRoutes`. Export all three.
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
   * @param options.authorize Called with the app's `ctx` and `{ streamId, operation }`
   *   before anything is read or stopped. Throw to refuse. `operation` is `"read"`,
   *   `"write"` or `"abort"`, so you can let followers of a shared chat read but not
   *   stop.
   * @throws TypeError if `authorize` is not a function.
   */
  hookAPI(options: HookAPIOptions): HookAPI {
    return hookAPI(this, options);
  }

  /**
   * Registers the HTTP routes of a chat, with CORS. POST `path` writes a stream and
   * sends it to the caller. GET `path?streamId=…&offset=…` reads one.
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
   * Any user who may write a stream can be the one whose request starts the writer.
   * So `write` must find the user in your own tables, by `streamId`, never in
   * `ctx.auth`.
   *
   * The routes respond like `stream()` and `resume()`. An error has a JSON body,
   * `{ "error": … }`, and one of these statuses:
   *
   * - 400: the request does not name a stream.
   * - 403: `authorize` threw a `ConvexError`. The body has its message.
   * - 404: there is no such stream.
   * - 500: anything else went wrong. The error is logged, and not sent.
   *
   * @param http What `httpRouter()` returned. With `corsRouter(http)`, pass that
   *   `http`.
   * @throws TypeError for invalid options.
   */
  registerRoutes(http: HttpRouter, options: RegisterRoutesOptions): void {
    registerRoutes(this, http, options);
  }
}

const noStream = { text: "", status: "error" } as const;

/** Runs before the claim, because a claimed stream cannot be written again. */
function checkWriter(method: string, writer: unknown): void {
  if (typeof writer === "function") return;
  throw new TypeError(
    `${method}() needs a writer, a function that appends text or an async generator function, not ${shown(writer)}.`,
  );
}

function streamNotFound(streamId: string): Error {
  return streamError(
    "StreamNotFound",
    streamId,
    `There is no stream ${shown(streamId)}; it may have been deleted. Create one with createStream(ctx).`,
  );
}
