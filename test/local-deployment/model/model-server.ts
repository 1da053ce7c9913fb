/**
 * A small stand-in for a model: an OpenAI-compatible endpoint on loopback, for the
 * demo and the tests. It has no intelligence, only a few texts; what it does
 * faithfully is the protocol, the tokens and the pace.
 *
 * - `POST /v1/messages`, Anthropic's protocol, streamed, text only.
 * - `POST /v1/chat/completions`, streamed as server-sent events. Whoever
 *   brings tools is shown the reasoning first (`reasoning_content`), and a tool is
 *   called (`tool_calls`) where it serves the question.
 * - `GET /v1/models`
 * - `GET /pace`, `POST /pace {"tokensPerSecond": 200}`: the speed of all replies
 *   from now on, those under way included. A model named `demo@200` has its own.
 */
import {
  createServer,
  type IncomingMessage,
  type ServerResponse,
} from "node:http";
import type { AddressInfo } from "node:net";
import { chooseReply, type ChatMessage, type Reply } from "./canned-replies.js";
import { tokenize } from "./tokens.js";

export type ModelOptions = {
  /** 0 (the default) takes any free port. */
  port?: number;
  tokensPerSecond?: number;
  /** How long it "thinks" before the first token. */
  firstTokenMs?: number;
};

export type Model = {
  /** What to set as OPENAI_BASE_URL. */
  baseURL: string;
  port: number;
  /** How many replies it has been asked for. */
  asked(): number;
  /** How many replies it is writing just now. */
  writing(): number;
  close(): Promise<void>;
};

export const DEFAULT_TOKENS_PER_SECOND = 60;

type ChatRequest = {
  model: string;
  messages: ChatMessage[];
  tools: string[];
};

type WrittenReply = Exclude<Reply, { kind: "refusal" }>;

/** A piece of a message, as a streamed reply brings it. */
type Delta =
  | { reasoning_content: string }
  | { content: string }
  | {
      tool_calls: {
        index: number;
        id?: string;
        type?: "function";
        function: { name?: string; arguments: string };
      }[];
    };

/** Rejects with Node's own error (`EADDRINUSE` and such) if it cannot listen. */
export async function startModel(options: ModelOptions = {}): Promise<Model> {
  const { port = 0, firstTokenMs = 350 } = options;
  const pace = {
    tokensPerSecond: options.tokensPerSecond ?? DEFAULT_TOKENS_PER_SECOND,
  };
  let served = 0;
  let writing = 0;

  async function handle(request: IncomingMessage, response: ServerResponse) {
    response.setHeader("Access-Control-Allow-Origin", "*");
    const route = `${request.method} ${request.url}`;
    switch (route) {
      case "OPTIONS /pace":
        response.setHeader("Access-Control-Allow-Headers", "Content-Type");
        response.writeHead(204).end();
        return;
      case "GET /pace":
        sendJson(response, 200, pace);
        return;
      case "POST /pace": {
        const { tokensPerSecond } = (await readJson(request)) as Partial<
          typeof pace
        >;
        if (!isPace(tokensPerSecond)) {
          sendError(
            response,
            400,
            "tokensPerSecond must be a positive number.",
          );
          return;
        }
        pace.tokensPerSecond = tokensPerSecond;
        sendJson(response, 200, pace);
        return;
      }
      case "GET /v1/models":
        sendJson(response, 200, {
          object: "list",
          data: [{ id: "demo", object: "model", created: 0, owned_by: "demo" }],
        });
        return;
      case "POST /v1/chat/completions":
        await write(parseChat(await readJson(request)), response, complete);
        return;
      case "POST /v1/messages":
        await write(parseChat(await readJson(request)), response, message);
        return;
      default:
        sendError(response, 404, `There is no ${route} here.`);
    }
  }

  async function write(
    chat: ChatRequest | null,
    response: ServerResponse,
    answer: typeof complete,
  ) {
    if (chat === null) {
      sendError(response, 400, "Expected a model's name and messages.");
      return;
    }
    const serial = served++;
    const reply = chooseReply(chat.messages, serial, chat.tools);
    if (reply.kind === "refusal") {
      sendError(response, 400, reply.message);
      return;
    }
    const own = Number(chat.model.split("@")[1]);
    const batches = paced(
      deltasOf(reply, serial),
      () => (isPace(own) ? own : pace.tokensPerSecond),
      firstTokenMs,
      response,
    );
    writing++;
    try {
      await answer(chat, reply, serial, batches, response);
    } finally {
      writing--;
    }
  }

  async function message(
    chat: ChatRequest,
    reply: WrittenReply,
    serial: number,
    batches: AsyncIterable<Delta[]>,
    response: ServerResponse,
  ) {
    const event = (type: string, data: object) =>
      response.write(`event: ${type}\n${sse({ type, ...data })}`);
    response.writeHead(200, { "Content-Type": "text/event-stream" });
    const usage = { input_tokens: 0, output_tokens: 0 };
    event("message_start", {
      message: {
        id: `msg-${serial}`,
        type: "message",
        role: "assistant",
        model: chat.model,
        content: [],
        stop_reason: null,
        stop_sequence: null,
        usage,
      },
    });
    const content_block = { type: "text", text: "" };
    event("content_block_start", { index: 0, content_block });
    for await (const batch of batches) {
      for (const delta of batch) {
        if (!("content" in delta)) continue;
        event("content_block_delta", {
          index: 0,
          delta: { type: "text_delta", text: delta.content },
        });
      }
    }
    const overloaded = { type: "overloaded_error", message: "Overloaded" };
    const reason = finish(reply, response, overloaded);
    if (reason === null) return;
    event("content_block_stop", { index: 0 });
    const stop_reason = { length: "max_tokens", content_filter: "refusal" };
    event("message_delta", {
      delta: {
        stop_reason: stop_reason[reason as "length"] ?? "end_turn",
        stop_sequence: null,
      },
      usage,
    });
    event("message_stop", {});
    response.end();
  }

  async function complete(
    chat: ChatRequest,
    reply: WrittenReply,
    serial: number,
    batches: AsyncIterable<Delta[]>,
    response: ServerResponse,
  ) {
    const envelope = {
      id: `chatcmpl-${serial}`,
      created: Math.floor(Date.now() / 1000),
      model: chat.model,
    };
    response.writeHead(200, {
      "Content-Type": "text/event-stream",
      "Cache-Control": "no-cache",
    });
    const event = (delta: object, finishReason: string | null = null) =>
      sse({
        ...envelope,
        object: "chat.completion.chunk",
        choices: [{ index: 0, delta, finish_reason: finishReason }],
      });
    response.write(event({ role: "assistant", content: "" }));
    for await (const batch of batches) {
      response.write(batch.map((delta) => event(delta)).join(""));
    }
    const reason = finish(reply, response, {
      message: BROKEN,
      type: "server_error",
    });
    if (reason === null) return;
    response.write(event({}, reason));
    response.end("data: [DONE]\n\n");
  }

  const server = createServer((request, response) => {
    handle(request, response).catch((error: unknown) => {
      if (response.headersSent) response.destroy();
      else sendError(response, 400, String(error));
    });
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, "127.0.0.1", resolve);
  });
  const actualPort = (server.address() as AddressInfo).port;
  return {
    port: actualPort,
    baseURL: `http://127.0.0.1:${actualPort}/v1`,
    asked: () => served,
    writing: () => writing,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

const BROKEN = "The model broke off half way, as it was asked to.";

/** Why a reply ends, if it does by itself; else it breaks here. */
function finish(
  reply: WrittenReply,
  response: ServerResponse,
  error: object,
): string | null {
  if (reply.kind === "call") return "tool_calls";
  if (reply.kind === "text") return "stop";
  switch (reply.how) {
    case "length":
    case "content_filter":
      return reply.how;
    case "error":
    case "overloaded":
      response.end(sse({ type: "error", error }));
      return null;
    case "cut":
      response.destroy();
      return null;
    case "end":
      response.end();
      return null;
    case "rubbish":
      response.end('data: {"choices": [oops\n\n');
      return null;
    case "hang":
      return null;
  }
}

/** A reply, one token at a time; of one that breaks, half of the text. */
function deltasOf(reply: WrittenReply, serial: number): Delta[] {
  const thoughts = tokenize(reply.reasoning ?? "").map(
    (reasoning_content): Delta => ({ reasoning_content }),
  );
  if (reply.kind === "call") {
    const call = {
      index: 0,
      id: `call-${serial}`,
      type: "function" as const,
      function: { name: reply.tool, arguments: "" },
    };
    const pieces = tokenize(JSON.stringify(reply.input)).map(
      (arguments_): Delta => ({
        tool_calls: [{ index: 0, function: { arguments: arguments_ } }],
      }),
    );
    return [...thoughts, { tool_calls: [call] }, ...pieces];
  }
  const text = tokenize(reply.text).map((content): Delta => ({ content }));
  const arriving =
    reply.kind === "broken" ? text.slice(0, Math.ceil(text.length / 2)) : text;
  return [...thoughts, ...arriving];
}

/**
 * Hands out items as they fall due, and no more once the client has gone. Above
 * the resolution of timers several fall due at once, so the pace holds at any speed.
 */
async function* paced<Item>(
  items: Item[],
  perSecond: () => number,
  firstMs: number,
  response: ServerResponse,
): AsyncGenerator<Item[]> {
  const gone = new AbortController();
  response.once("close", () => gone.abort());
  await sleep(firstMs, gone.signal);
  let sent = 0;
  let due = 1;
  let last = performance.now();
  while (sent < items.length && !gone.signal.aborted) {
    const count = Math.min(Math.floor(due), items.length - sent);
    if (count > 0) {
      yield items.slice(sent, sent + count);
      sent += count;
      due -= count;
    }
    // Never long, so that a change of pace is felt at once.
    const wait = ((1 - due) / perSecond()) * 1000;
    await sleep(Math.min(Math.max(wait, 1), 100), gone.signal);
    const now = performance.now();
    due += ((now - last) / 1000) * perSecond();
    last = now;
  }
}

/** Ends early, without an error, when the signal fires. */
function sleep(ms: number, signal: AbortSignal): Promise<void> {
  if (signal.aborted || ms <= 0) return Promise.resolve();
  return new Promise((resolve) => {
    const end = () => {
      clearTimeout(timer);
      signal.removeEventListener("abort", end);
      resolve();
    };
    const timer = setTimeout(end, ms);
    signal.addEventListener("abort", end);
  });
}

function isPace(value: unknown): value is number {
  return typeof value === "number" && Number.isFinite(value) && value > 0;
}

function parseChat(body: unknown): ChatRequest | null {
  const {
    model,
    messages,
    tools = [],
  } = body as Partial<
    Omit<ChatRequest, "tools"> & { tools: { function: { name: string } }[] }
  >;
  if (typeof model !== "string" || !Array.isArray(messages)) return null;
  const names = tools.map((tool) => tool.function.name);
  return { model, messages, tools: names };
}

async function readJson(request: IncomingMessage): Promise<object> {
  let body = "";
  request.setEncoding("utf8");
  for await (const part of request) body += part as string;
  const json: unknown = JSON.parse(body);
  if (typeof json !== "object" || json === null) {
    throw new Error("Expected a JSON object.");
  }
  return json;
}

function sse(data: object): string {
  return `data: ${JSON.stringify(data)}\n\n`;
}

function sendJson(response: ServerResponse, status: number, body: object) {
  response
    .writeHead(status, { "Content-Type": "application/json" })
    .end(JSON.stringify(body));
}

function sendError(response: ServerResponse, status: number, message: string) {
  sendJson(response, status, {
    error: { message, type: "invalid_request_error", code: null },
  });
}
