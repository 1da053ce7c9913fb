import type { ChatTransport, UIMessage, UIMessageChunk } from "ai";
import { readLines, readStream } from "../browser/index.js";

/** A stream to read, or its id alone. */
export type ChatStream =
  | string
  | {
      /** The stream. */
      streamId: string;
      /** Whether this chat's request may start the writer. Default: true. */
      drive?: boolean | undefined;
    };

/** What `send` receives from `useChat`. */
export interface ChatRequest<Message extends UIMessage = UIMessage> {
  /** The messages so far. With `regenerate-message`, the one to replace is left out. */
  messages: Message[];
  /** `regenerate-message` for `regenerate()`, otherwise `submit-message`. */
  trigger: "submit-message" | "regenerate-message";
  /** The message to generate again or to continue; undefined for a new one. */
  messageId: string | undefined;
  /** The chat. */
  chatId: string;
  /** The `body` of `sendMessage(message, { body })`. */
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
   * returns its id. Called for new messages, for `regenerate()` and for automatic
   * sends after tool results. Return `drive: false` if something else writes the
   * stream, such as a scheduled action.
   */
  send: (request: ChatRequest<Message>) => ChatStream | Promise<ChatStream>;
  /**
   * The stream to continue after a reload, or null if no reply is being written.
   * Called for `resume: true` and `resumeStream({ body })`, with that `body`.
   * Default: none.
   */
  activeStream?:
    | ((
        chatId: string,
        call: { body: object | undefined },
      ) =>
        ChatStream | null | undefined | Promise<ChatStream | null | undefined>)
    | undefined;
  /**
   * Added to each request. A function is called for each request, so that tokens stay
   * fresh.
   */
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
 * `useChat` sees one stream of chunks per reply, even if connections are lost. If the
 * stream ends as `error` or `timeout`, `useChat` gets an error. If it is aborted,
 * `useChat` finishes with `isAbort`.
 *
 * `stop()` only stops reading. To stop the writer, call a mutation that calls
 * `abortStream`. Before version 7, `useChat` keeps reading after its component
 * unmounts, unless you add `useEffect(() => () => void stop(), [stop])`.
 */
export class PersistentChatTransport<
  Message extends UIMessage = UIMessage,
> implements ChatTransport<Message> {
  /** Tells `useChat` that a reply is replayed from its beginning. */
  readonly resumeStreamIsReplay = true;

  /**
   * Creates a transport.
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
        "PersistentChatTransport needs `url`, the URL of the routes, and `send`, a function that creates a stream and returns its id.",
      );
    }
  }

  /** Creates a reply with `send`, and reads it. */
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
    // After a tool's result, the reply continues the message that asked for it.
    const last = messages.find(({ id }) => id === messageId) ?? messages.at(-1);
    const continued =
      trigger === "submit-message" && last?.role === "assistant";
    return this.read(stream, true, {
      messageId: continued ? last.id : undefined,
      headers,
      signal: abortSignal,
    });
  };

  /** Reads the reply of `activeStream` from its beginning. */
  reconnectToStream: ChatTransport<Message>["reconnectToStream"] = async ({
    chatId,
    body,
    headers,
    abortSignal,
  }) => {
    const stream = await this.options.activeStream?.(chatId, { body });
    if (stream === null || stream === undefined) return null;
    // A page that died before its request left a stream without a writer.
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
      // Nothing is read ahead, so that an error at the end loses no chunk.
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
 * Encodes an AI SDK UI message stream as lines of text: server-sent events, which
 * `PersistentChatTransport` and the AI SDK's own transports can read. Write it to a
 * stream with `flush: "line"`:
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
 * @param chunks The result of `toUIMessageStream()`.
 * @throws While iterating: an error at the end, if one of the chunks was an error, so
 *   that the stream's status becomes `error` instead of `done`.
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

/** A stream's values. Some platforms' streams are not iterable. */
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

/** The chunk in a line. `[DONE]`, blank lines and comments have none. */
function chunkOf(line: string): UIMessageChunk | undefined {
  const json = line.replace(/^data: ?/, "");
  return json.startsWith("{")
    ? (JSON.parse(json) as UIMessageChunk)
    : undefined;
}

/**
 * The chunks of a reply, plus a first chunk with the message's id and a last one that
 * says how the stream ended. After a reload, a replayed reply replaces its first half
 * only if both have the same id.
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
 * The chunk that tells `useChat` how a stream ended.
 *
 * @throws An `AbortError` if the stream was aborted. There is no other way to tell
 *   `useChat`.
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
