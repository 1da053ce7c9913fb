import type { ChatTransport, UIMessage, UIMessageChunk } from "ai";
import { readLines, readStream } from "../browser/index.js";

/** A stream to read, or its id alone. */
export type ChatStream =
  | string
  | {
      /** The stream. */
      streamId: string;
      /** Whether this chat may be the one whose request starts the writer. Default: true. */
      drive?: boolean | undefined;
    };

/** What `useChat` wants an answer to. */
export interface ChatRequest<Message extends UIMessage = UIMessage> {
  /** The messages so far. With `regenerate-message`, without the one to replace. */
  messages: Message[];
  /** `regenerate-message` for `regenerate()`, otherwise `submit-message`. */
  trigger: "submit-message" | "regenerate-message";
  /** The message to generate again, or to go on with; undefined for a new one. */
  messageId: string | undefined;
  /** The chat. */
  chatId: string;
  /** What was given as `body`, as in `sendMessage(message, { body })`. */
  body: object | undefined;
}

/** Options of `PersistentChatTransport`. */
export interface PersistentChatTransportOptions<
  Message extends UIMessage = UIMessage,
> {
  /** The URL of the routes: POST writes a stream, GET reads it. */
  url: URL | string;
  /**
   * The app's mutation: saves what was sent, creates a stream for the reply and
   * returns its id. Called for a new message, for `regenerate()` and for what is
   * sent automatically after a tool's result. Return `drive: false` if
   * something else writes the stream, such as a scheduled action.
   */
  send: (request: ChatRequest<Message>) => ChatStream | Promise<ChatStream>;
  /**
   * The stream to continue after a reload, or null if no reply is being written.
   * Called for `resume: true` and `resumeStream()`, with what was given as
   * `body`, as in `resumeStream({ body })`. Default: none.
   */
  activeStream?:
    | ((
        chatId: string,
        call: { body: object | undefined },
      ) =>
        ChatStream | null | undefined | Promise<ChatStream | null | undefined>)
    | undefined;
  /** Added to each request. A function is called for each: a token may have expired since the last. */
  headers?:
    HeadersInit | (() => HeadersInit | Promise<HeadersInit>) | undefined;
  /** Makes the requests. Default: the platform's `fetch`. */
  fetch?: ((url: string, init: RequestInit) => Promise<Response>) | undefined;
}

/**
 * A transport for the AI SDK's `useChat` (5, 6 and 7) whose replies are
 * persistent text streams: they survive reloads and lost connections.
 *
 * ```ts
 * const transport = new PersistentChatTransport({
 *   url: `${siteUrl}/chat`,
 *   send: ({ messages }) =>
 *     convex.mutation(api.chat.send, { message: messages.at(-1) }),
 *   activeStream: (chatId) => convex.query(api.chat.activeStream, { chatId }),
 * });
 * const { messages, sendMessage } = useChat({ transport, resume: true });
 * ```
 *
 * `useChat` sees one stream of chunks for each reply, whatever becomes of the
 * connections that bring it. A stream that ended in `error` or `timeout` is an
 * error to it, one that was aborted is finished with `isAbort`.
 *
 * `stop()` ends the reading in this chat only. Call your own mutation, which
 * calls `abortStream`, to stop the writer for everyone. Before version 7,
 * `useChat` goes on reading when its component unmounts, unless you say
 * `useEffect(() => () => void stop(), [stop])`.
 */
export class PersistentChatTransport<
  Message extends UIMessage = UIMessage,
> implements ChatTransport<Message> {
  /** Tells `useChat` that a reply is resumed from its beginning. */
  readonly resumeStreamIsReplay = true;

  /**
   * Makes a transport.
   *
   * @param options Where streams are read, and how one is created.
   * @throws TypeError if `url` or `send` is missing.
   */
  constructor(
    private readonly options: PersistentChatTransportOptions<Message>,
  ) {
    const { url, send } = options;
    if (url === undefined || typeof send !== "function") {
      throw new TypeError(
        "PersistentChatTransport needs `url`, where streams are written and read, and `send`, a function that creates a stream and returns its id.",
      );
    }
  }

  /** Has a reply created by `send`, and reads it. */
  sendMessages: ChatTransport<Message>["sendMessages"] = async ({
    messages,
    trigger,
    messageId,
    chatId,
    body,
    headers,
    abortSignal,
  }) => {
    const stream = await this.options.send({
      messages,
      trigger,
      messageId,
      chatId,
      body,
    });
    // After a tool's result, the reply goes on with the message that asked for it.
    const last = messages.find(({ id }) => id === messageId) ?? messages.at(-1);
    const continued =
      trigger === "submit-message" && last?.role === "assistant";
    return this.read(stream, true, {
      messageId: continued ? last.id : undefined,
      headers,
      signal: abortSignal,
    });
  };

  /** Reads the reply that `activeStream` names, from its beginning. */
  reconnectToStream: ChatTransport<Message>["reconnectToStream"] = async ({
    chatId,
    body,
    headers,
    abortSignal,
  }) => {
    const stream = await this.options.activeStream?.(chatId, { body });
    if (stream === null || stream === undefined) return null;
    // A page that died before its request has left a stream that nobody writes.
    return this.read(stream, "auto", { headers, signal: abortSignal });
  };

  private read(
    stream: ChatStream,
    drive: true | "auto",
    call: {
      messageId?: string | undefined;
      headers: HeadersInit | undefined;
      signal: AbortSignal | undefined;
    },
  ): ReadableStream<UIMessageChunk> {
    const { streamId, drive: mayDrive = true } =
      typeof stream === "string" ? { streamId: stream } : stream;
    const { url, fetch } = this.options;
    const text = readStream(url, {
      streamId,
      drive: mayDrive && drive,
      headers: () => this.headers(call.headers),
      fetch,
      signal: call.signal,
    });
    const chunks = chunksOf(
      readLines(text, chunkOf),
      call.messageId ?? streamId,
      () => ending(text.status, text.error?.message),
    );
    return new ReadableStream<UIMessageChunk>(
      {
        async pull(controller) {
          const { done, value } = await chunks.next();
          if (done) controller.close();
          else controller.enqueue(value);
        },
        async cancel() {
          await text.return();
          await chunks.return();
        },
      },
      // Nothing is read ahead, so that an error at the end takes no chunk along.
      { highWaterMark: 0 },
    );
  }

  private async headers(added: HeadersInit | undefined): Promise<Headers> {
    const { headers } = this.options;
    const all = new Headers(
      typeof headers === "function" ? await headers() : headers,
    );
    new Headers(added).forEach((value, name) => all.set(name, value));
    return all;
  }
}

/**
 * A UI message stream of the AI SDK as text, in whole lines: server-sent events,
 * which `PersistentChatTransport` reads, and the AI SDK's own transports too. Write
 * it to a stream that is saved by lines:
 *
 * ```ts
 * const streaming = new PersistentTextStreaming(
 *   components.persistentTextStreaming,
 *   { flush: "line" },
 * );
 * streaming.registerRoutes(http, {
 *   path: "/chat",
 *   authorize: internal.chat.authorizeStream,
 *   write: async function* (ctx, { streamId, signal }) {
 *     const messages = await ctx.runQuery(internal.chat.history, { streamId });
 *     const result = streamText({ model, messages, abortSignal: signal });
 *     yield* encodeUIMessageStream(result.toUIMessageStream());
 *   },
 * });
 * ```
 *
 * @param chunks What `toUIMessageStream()` gives.
 * @throws While iterating: an error at the end if one of the chunks was an
 *   error, so that the stream's status becomes `error` and not `done`.
 */
export async function* encodeUIMessageStream(
  chunks:
    | AsyncIterable<UIMessageChunk>
    | Iterable<UIMessageChunk>
    | ReadableStream<UIMessageChunk>,
): AsyncGenerator<string, void> {
  let error: string | undefined;
  for await (const chunk of valuesOf(chunks)) {
    if (chunk.type === "error") error = chunk.errorText;
    yield `data: ${JSON.stringify(chunk)}\n\n`;
  }
  yield "data: [DONE]\n\n";
  if (error !== undefined) throw new Error(error);
}

/** A stream's values; some platforms' streams cannot be iterated. */
async function* valuesOf<T>(
  values: AsyncIterable<T> | Iterable<T> | ReadableStream<T>,
): AsyncGenerator<T, void> {
  if (!("getReader" in values)) {
    yield* values;
    return;
  }
  const reader = values.getReader();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      yield value;
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}

/** What a line says. `[DONE]`, blank lines and comments say nothing. */
function chunkOf(line: string): UIMessageChunk | undefined {
  const json = line.replace(/^data: ?/, "");
  return json.startsWith("{")
    ? (JSON.parse(json) as UIMessageChunk)
    : undefined;
}

/**
 * The chunks of a reply, with a beginning that says which message they are and an
 * ending that says how the stream ended. A reply that is replayed after a reload
 * replaces its first half only if both have the same id.
 */
async function* chunksOf(
  chunks: AsyncIterable<UIMessageChunk>,
  messageId: string,
  end: () => UIMessageChunk[],
): AsyncGenerator<UIMessageChunk, void> {
  let isFirst = true;
  let failed = false;
  for await (const chunk of chunks) {
    if (chunk.type === "start") {
      yield { ...chunk, messageId: chunk.messageId ?? messageId };
    } else {
      if (isFirst) yield { type: "start", messageId };
      yield chunk;
    }
    isFirst = false;
    failed ||= chunk.type === "error";
  }
  if (!failed) yield* end();
}

/**
 * What `useChat` is told about how a stream ended.
 *
 * @throws An `AbortError` for a stream that was aborted: the only way to tell
 *   `useChat` of it.
 */
function ending(status: string, message: string | undefined): UIMessageChunk[] {
  switch (status) {
    case "error":
    case "timeout":
      return [
        { type: "error", errorText: message ?? `The reply ended: ${status}.` },
      ];
    case "aborted": {
      const error = new Error("The reply was stopped.");
      error.name = "AbortError";
      throw error;
    }
    default:
      return [];
  }
}
