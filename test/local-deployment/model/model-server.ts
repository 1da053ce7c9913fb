/**
 * A stand-in for a model, for the demo and the tests: an OpenAI-compatible endpoint
 * on loopback with a few texts. The protocol, the tokens and the pace are real.
 *
 * - `POST /v1/chat/completions`, streamed as server-sent events. With tools, the
 *   reasoning comes first (`reasoning_content`), and a tool is called
 *   (`tool_calls`) where it answers the question.
 * - `POST /v1/messages`: Anthropic's protocol, streamed, text only.
 * - `GET /v1/models`
 * - `GET /pace`, `POST /pace {"tokensPerSecond": 200}`: the speed of all replies
 *   from now on, including those under way.
 */
import {
  createServer,
  type IncomingMessage,
  type ServerResponse,
} from "node:http";
import type { AddressInfo } from "node:net";
import { json } from "node:stream/consumers";
import { setTimeout } from "node:timers/promises";
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
  /** How many replies it has been asked for. */
  asked(): number;
  /** How many replies it is writing now. */
  writing(): number;
  close(): Promise<void>;
};

export const DEFAULT_TOKENS_PER_SECOND = 60;

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

/** The events of a streamed reply, as they are sent. */
interface Protocol {
  begin: string;
  delta(delta: Delta): string;
  error: object;
  end(reason: string): string;
}

/** Rejects with Node's own error (`EADDRINUSE` and such) if it cannot listen. */
export async function startModel({
  port = 0,
  tokensPerSecond = DEFAULT_TOKENS_PER_SECOND,
  firstTokenMs = 350,
}: ModelOptions = {}): Promise<Model> {
  const pace = { tokensPerSecond };
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
      case "POST /pace":
        Object.assign(pace, await json(request));
        sendJson(response, 200, pace);
        return;
      case "GET /pace":
        sendJson(response, 200, pace);
        return;
      case "GET /v1/models":
        sendJson(response, 200, { object: "list", data: [{ id: "demo" }] });
        return;
      case "POST /v1/chat/completions":
        await write(await json(request), response, completions);
        return;
      case "POST /v1/messages":
        await write(await json(request), response, messages);
        return;
      default:
        sendError(response, 404, `There is no ${route} here.`);
    }
  }

  async function write(
    chat: unknown,
    response: ServerResponse,
    protocolOf: (serial: number, model: string) => Protocol,
  ) {
    const {
      model,
      messages,
      tools = [],
    } = chat as {
      model: string;
      messages: ChatMessage[];
      tools?: { function: { name: string } }[];
    };
    const serial = served++;
    const names = tools.map((tool) => tool.function.name);
    const reply = chooseReply(messages, serial, names);
    if (reply.kind === "refusal") {
      sendError(response, 400, reply.message);
      return;
    }
    const protocol = protocolOf(serial, model);
    writing++;
    try {
      response.writeHead(200, {
        "Content-Type": "text/event-stream",
        "Cache-Control": "no-cache",
      });
      response.write(protocol.begin);
      const deltas = deltasOf(reply, serial);
      for await (const batch of paced(deltas, pace, firstTokenMs, response)) {
        response.write(batch.map((delta) => protocol.delta(delta)).join(""));
      }
      finish(reply, response, protocol);
    } finally {
      writing--;
    }
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
  return {
    baseURL: `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`,
    asked: () => served,
    writing: () => writing,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

function completions(serial: number, model: string): Protocol {
  const created = Math.floor(Date.now() / 1000);
  const event = (delta: object, finish_reason: string | null = null) =>
    sse({
      ...{ id: `chatcmpl-${serial}`, created, model },
      object: "chat.completion.chunk",
      choices: [{ index: 0, delta, finish_reason }],
    });
  return {
    begin: event({ role: "assistant", content: "" }),
    delta: (delta) => event(delta),
    error: {
      message: "The model broke off half way, as it was asked to.",
      type: "server_error",
    },
    end: (reason) => `${event({}, reason)}data: [DONE]\n\n`,
  };
}

function messages(serial: number, model: string): Protocol {
  const event = (type: string, data: object) =>
    `event: ${type}\n${sse({ type, ...data })}`;
  const usage = { input_tokens: 0, output_tokens: 0 };
  const message = {
    ...{ id: `msg-${serial}`, type: "message", role: "assistant", model },
    ...{ content: [], stop_reason: null, stop_sequence: null, usage },
  };
  const start = { index: 0, content_block: { type: "text", text: "" } };
  return {
    begin:
      event("message_start", { message }) + event("content_block_start", start),
    delta: (delta) =>
      "content" in delta
        ? event("content_block_delta", {
            index: 0,
            delta: { type: "text_delta", text: delta.content },
          })
        : "",
    error: { type: "overloaded_error", message: "Overloaded" },
    end: () => {
      const delta = { stop_reason: "end_turn", stop_sequence: null };
      return (
        event("content_block_stop", { index: 0 }) +
        event("message_delta", { delta, usage }) +
        event("message_stop", {})
      );
    },
  };
}

/** Ends a reply, or breaks it. */
function finish(
  reply: WrittenReply,
  response: ServerResponse,
  protocol: Protocol,
): void {
  if (reply.kind === "call") response.end(protocol.end("tool_calls"));
  else if (reply.kind === "text") response.end(protocol.end("stop"));
  else {
    switch (reply.how) {
      case "length":
      case "content_filter":
        response.end(protocol.end(reply.how));
        return;
      case "error":
      case "overloaded":
        response.end(sse({ type: "error", error: protocol.error }));
        return;
      case "cut":
        response.destroy();
        return;
      case "end":
        response.end();
        return;
      case "rubbish":
        response.end('data: {"choices": [oops\n\n');
    }
  }
}

/** A reply, one token at a time. A broken one has half of the text. */
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
 * Hands out items as they fall due, until the client has gone. Above the resolution
 * of timers several fall due at once, so the pace holds at any speed.
 */
async function* paced<Item>(
  items: Item[],
  pace: { tokensPerSecond: number },
  firstMs: number,
  response: ServerResponse,
): AsyncGenerator<Item[]> {
  let isGone = false;
  response.once("close", () => (isGone = true));
  if (firstMs > 0) await setTimeout(firstMs);
  let sent = 0;
  let due = 1;
  let last = performance.now();
  while (sent < items.length && !isGone) {
    const count = Math.min(Math.floor(due), items.length - sent);
    if (count > 0) {
      yield items.slice(sent, sent + count);
      sent += count;
      due -= count;
    }
    // Never long, so that a change of pace is felt at once.
    const wait = ((1 - due) / pace.tokensPerSecond) * 1000;
    await setTimeout(Math.min(Math.max(wait, 1), 100));
    const now = performance.now();
    due += ((now - last) / 1000) * pace.tokensPerSecond;
    last = now;
  }
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
  const error = { message, type: "invalid_request_error", code: null };
  sendJson(response, status, { error });
}
