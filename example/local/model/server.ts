/**
 * A small stand-in for a model: an OpenAI-compatible endpoint on loopback, for the
 * demo and the tests. It has no intelligence, only a few texts; what it does
 * faithfully is the protocol, the tokens and the pace.
 *
 * - `POST /v1/chat/completions`, streamed as server-sent events or whole
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
import { chooseReply, type ChatMessage, type Reply } from "./replies.js";
import { tokenize } from "./tokens.js";

export type ModelOptions = {
  /** 0 (the default) takes any free port. */
  port?: number;
  tokensPerSecond?: number;
  /** How long it «thinks» before the first token. */
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
  stream: boolean;
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
      case "POST /v1/chat/completions": {
        const chat = parseChat(await readJson(request));
        if (chat === null) {
          sendError(response, 400, "Expected a model's name and messages.");
          return;
        }
        writing++;
        try {
          await complete(chat, response);
        } finally {
          writing--;
        }
        return;
      }
      default:
        sendError(response, 404, `There is no ${route} here.`);
    }
  }

  async function complete(chat: ChatRequest, response: ServerResponse) {
    const serial = served++;
    const reply = chooseReply(chat.messages, serial);
    if (reply.kind === "refusal") {
      sendError(response, 400, reply.message);
      return;
    }
    const envelope = {
      id: `chatcmpl-${serial}`,
      created: Math.floor(Date.now() / 1000),
      model: chat.model,
    };
    const own = Number(chat.model.split("@")[1]);
    const currentPace = () => (isPace(own) ? own : pace.tokensPerSecond);
    const tokens = paced(tokensOf(reply), currentPace, firstTokenMs, response);

    if (!chat.stream) {
      let content = "";
      for await (const batch of tokens) content += batch.join("");
      if (reply.kind === "broken") {
        sendError(response, 500, BROKEN);
        return;
      }
      sendJson(response, 200, {
        ...envelope,
        object: "chat.completion",
        choices: [
          {
            index: 0,
            message: { role: "assistant", content },
            finish_reason: "stop",
          },
        ],
      });
      return;
    }

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
    for await (const batch of tokens) {
      response.write(batch.map((content) => event({ content })).join(""));
    }
    if (reply.kind === "broken") {
      response.end(sse({ error: { message: BROKEN, type: "server_error" } }));
    } else {
      response.write(event({}, "stop"));
      response.end("data: [DONE]\n\n");
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

/** The tokens of a reply, as text; of one that breaks, the first half. */
function tokensOf(reply: Exclude<Reply, { kind: "refusal" }>): string[] {
  const tokens = tokenize(reply.text);
  return reply.kind === "broken"
    ? tokens.slice(0, Math.ceil(tokens.length / 2))
    : tokens;
}

/**
 * Hands out tokens as they fall due, and no more once the client has gone. Above
 * the resolution of timers several fall due at once, so the pace holds at any speed.
 */
async function* paced(
  tokens: string[],
  tokensPerSecond: () => number,
  firstTokenMs: number,
  response: ServerResponse,
): AsyncGenerator<string[]> {
  const gone = new AbortController();
  response.once("close", () => gone.abort());
  await sleep(firstTokenMs, gone.signal);
  let sent = 0;
  let due = 1;
  let last = performance.now();
  while (sent < tokens.length && !gone.signal.aborted) {
    const count = Math.min(Math.floor(due), tokens.length - sent);
    if (count > 0) {
      yield tokens.slice(sent, sent + count);
      sent += count;
      due -= count;
    }
    // Never long, so that a change of pace is felt at once.
    const wait = ((1 - due) / tokensPerSecond()) * 1000;
    await sleep(Math.min(Math.max(wait, 1), 100), gone.signal);
    const now = performance.now();
    due += ((now - last) / 1000) * tokensPerSecond();
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
  const { model, messages, stream } = body as Partial<ChatRequest>;
  if (typeof model !== "string" || !Array.isArray(messages)) return null;
  return { model, messages, stream: stream === true };
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
