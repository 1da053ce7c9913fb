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
import { setTimeout } from "node:timers/promises";
import type { HttpBindings } from "@hono/node-server";
import { Hono, type Context } from "hono";
import { cors } from "hono/cors";
import { stream } from "hono/streaming";
import { Listener } from "../listener.js";
import {
  chooseReply,
  tokenize,
  type ChatMessage,
  type Reply,
} from "./canned-replies.js";

export type ModelOptions = {
  /** 0 (the default) takes any free port. */
  port?: number;
  tokensPerSecond?: number;
  /** How long it "thinks" before the first token. */
  firstTokenMs?: number;
};

export type Model = Awaited<ReturnType<typeof startModel>>;

export const DEFAULT_TOKENS_PER_SECOND = 60;

/** A piece of a message, as a streamed reply brings it. */
type Delta = {
  content?: string;
  reasoning_content?: string;
  tool_calls?: object[];
};

/** The events of a streamed reply, as they are sent. */
interface Protocol {
  begin: string;
  delta(delta: Delta): string;
  failure: string;
  end(reason: string): string;
}

/** Rejects with Node's own error (`EADDRINUSE` and such) if it cannot listen. */
export async function startModel({
  port = 0,
  tokensPerSecond = DEFAULT_TOKENS_PER_SECOND,
  firstTokenMs = 350,
}: ModelOptions = {}) {
  const pace = { tokensPerSecond };
  let asked = 0;
  let writing = 0;

  /** Streams a reply at the model's pace, until it is complete or the client has gone. */
  async function reply(
    context: Context<{ Bindings: HttpBindings }>,
    protocolOf: (serial: number, model: string) => Protocol,
  ) {
    const { model, messages, tools } = await context.req.json<{
      model: string;
      messages: ChatMessage[];
      tools?: { function: { name: string } }[];
    }>();
    const serial = asked++;
    const names = tools?.map((tool) => tool.function.name);
    const reply = chooseReply(messages, serial, names);
    const protocol = protocolOf(serial, model);
    context.header("Content-Type", "text/event-stream");
    return stream(context, async (response) => {
      writing++;
      const isGone = () => response.aborted;
      await response.write(protocol.begin);
      const deltas = deltasOf(reply, serial);
      for await (const batch of paced(deltas, pace, firstTokenMs, isGone)) {
        const events = batch.map((delta) => protocol.delta(delta));
        await response.write(events.join(""));
      }
      if (reply.breaks === "cut") context.env.outgoing.destroy();
      else await response.write(endOf(reply, protocol));
      writing--;
    });
  }

  const app = new Hono<{ Bindings: HttpBindings }>()
    .use(cors())
    .get("/pace", (context) => context.json(pace))
    .post("/pace", async ({ req, json }) =>
      json(Object.assign(pace, await req.json())),
    )
    .get("/v1/models", ({ json }) =>
      json({ object: "list", data: [{ id: "demo" }] }),
    )
    .post("/v1/chat/completions", (context) => reply(context, completions))
    .post("/v1/messages", (context) => reply(context, messages));
  const listener = new Listener(port, app);
  await listener.open();
  return {
    /** What to set as OPENAI_BASE_URL. */
    baseURL: `${listener.url}/v1`,
    /** How many replies it has been asked for. */
    asked: () => asked,
    /** How many replies it is writing now. */
    writing: () => writing,
    close: () => listener.close(),
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
  const message = "The model broke off half way, as it was asked to.";
  return {
    begin: event({ role: "assistant", content: "" }),
    delta: (delta) => event(delta),
    failure: sse({ error: { message, type: "server_error" } }),
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
  const error = { type: "overloaded_error", message: "Overloaded" };
  return {
    begin:
      event("message_start", { message }) + event("content_block_start", start),
    delta: ({ content: text }) =>
      event("content_block_delta", {
        index: 0,
        delta: { type: "text_delta", text },
      }),
    failure: event("error", { error }),
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

/** The last event of a reply. */
function endOf({ call, breaks }: Reply, protocol: Protocol): string {
  switch (breaks) {
    case "error":
    case "overloaded":
      return protocol.failure;
    case "rubbish":
      return 'data: {"choices": [oops\n\n';
    case "cut":
    case "end":
      return "";
    default:
      return protocol.end(call ? "tool_calls" : (breaks ?? "stop"));
  }
}

/** A reply, one token at a time. One that breaks has half of the text. */
function deltasOf(reply: Reply, serial: number): Delta[] {
  const { reasoning = "", text = "", call, breaks } = reply;
  const thoughts = tokenize(reasoning).map((reasoning_content): Delta => ({
    reasoning_content,
  }));
  const tokens = tokenize(text).map((content): Delta => ({ content }));
  const share = breaks === undefined ? 1 : 0.5;
  const said = tokens.slice(0, Math.ceil(tokens.length * share));
  if (call === undefined) return [...thoughts, ...said];
  const called = { name: call.tool, arguments: JSON.stringify(call.input) };
  const id = `call-${serial}`;
  const tool_calls = [{ index: 0, id, type: "function", function: called }];
  return [...thoughts, { tool_calls }];
}

/**
 * Hands out items as they fall due, until the client has gone. Above the resolution
 * of timers several fall due at once, so the pace holds at any speed.
 */
async function* paced<Item>(
  items: Item[],
  pace: { tokensPerSecond: number },
  firstMs: number,
  isGone: () => boolean,
): AsyncGenerator<Item[]> {
  await setTimeout(firstMs);
  let due = 1;
  let last = performance.now();
  for (let sent = 0; sent < items.length && !isGone();) {
    const batch = items.slice(sent, sent + Math.floor(due));
    if (batch.length > 0) yield batch;
    sent += batch.length;
    due -= batch.length;
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
