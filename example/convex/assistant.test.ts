/// <reference types="vite/client" />
import { isFinal, type StreamId } from "@convex-dev/persistent-text-streaming";
import { register } from "@convex-dev/persistent-text-streaming/test";
import { convexTest, type TestConvex } from "convex-test";
import { AsyncLocalStorage } from "node:async_hooks";
import { DefaultChatTransport, type UIMessageChunk } from "ai";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { api } from "./_generated/api";
import {
  messageOf,
  modelMessages,
  type AssistantMessage,
} from "./assistantMessages";
// Loaded now: while it loads later, the fake clock would run past the fallback.
import "./http";
import schema from "./schema";

const modules = import.meta.glob(["./**/*.ts", "./**/*.js", "!./**/*.test.ts"]);

type App = TestConvex<typeof schema>;
type User = ReturnType<App["withIdentity"]>;
type Generation = "request" | "action" | "node";

let t: App;
let alice: User;

beforeEach(() => {
  vi.useFakeTimers({
    toFake: ["setTimeout", "clearTimeout", "Date"],
    now: Date.UTC(2026, 10, 21, 12),
  });
  // What a timer calls belongs to whom it was set by, and not to whom moves the clock.
  const { setTimeout } = globalThis;
  vi.stubGlobal("setTimeout", (call: () => void, ms?: number) =>
    setTimeout(AsyncLocalStorage.bind(call), ms),
  );
  t = convexTest({ schema, modules, transactionLimits: true });
  register(t);
  alice = t.withIdentity({ name: "Alice" });
});

afterEach(async () => {
  await t.finishAllScheduledFunctions(vi.runAllTimers);
  vi.unstubAllEnvs();
  vi.unstubAllGlobals();
  vi.useRealTimers();
});

const thinks = (reasoning_content: string) => ({ reasoning_content });
const says = (content: string) => ({ content });
const calls = (input: string) => ({
  tool_calls: [
    {
      index: 0,
      id: "call-1",
      type: "function",
      function: { name: "tideTable", arguments: input },
    },
  ],
});

/** What the model sends of a question that needs the table: two requests. */
const withTable = [
  [thinks("There is"), thinks(" a table."), calls('{"port":"Brest"}')],
  [says("It is high "), says("at noon.\n"), says("Take care.")],
];

interface ModelRequest {
  messages: {
    role: string;
    content: string | null;
    tool_calls?: { id: string }[];
    tool_call_id?: string;
  }[];
}

/** A model that sends these deltas, request by request; or an error. */
function stubModel(...answers: (object[] | Error)[]) {
  const asked: ModelRequest[] = [];
  vi.stubEnv("OPENAI_API_KEY", "test");
  vi.stubGlobal("fetch", (_url: unknown, init: { body: string }) => {
    asked.push(JSON.parse(init.body) as ModelRequest);
    const answer = answers[asked.length - 1] ?? [];
    if (answer instanceof Error) {
      return Promise.resolve(
        Response.json({ error: { message: answer.message } }, { status: 400 }),
      );
    }
    const called = answer.some((delta) => "tool_calls" in delta);
    const end = answer.find((delta) => "finish_reason" in delta) ?? {
      finish_reason: called ? "tool_calls" : "stop",
    };
    const chunks = [
      ...answer.filter((delta) => delta !== end).map((delta) => ({ delta })),
      { delta: {}, ...end },
    ].map((choice) =>
      "error" in choice.delta
        ? choice.delta
        : {
            id: "x",
            created: 0,
            model: "x",
            choices: [{ index: 0, ...choice }],
          },
    );
    const events = chunks.map((chunk) => `data: ${JSON.stringify(chunk)}\n\n`);
    return Promise.resolve(
      new Response([...events, "data: [DONE]\n\n"].join(""), {
        headers: { "Content-Type": "text/event-stream" },
      }),
    );
  });
  return asked;
}

let serial = 0;
const send = (
  user: User,
  prompt: string,
  {
    generation = "request",
    conversationId,
  }: { generation?: Generation; conversationId?: string } = {},
) =>
  user.mutation(api.assistant.send, {
    prompt,
    messageId: `message-${serial++}`,
    generation,
    conversationId,
  });

/** Runs the clock along until something has happened. */
async function inTime<Result>(running: Promise<Result>): Promise<Result> {
  let ended = false;
  const end = () => (ended = true);
  running.then(end, end);
  while (!ended) await vi.advanceTimersByTimeAsync(10);
  return await running;
}

/** What the answer to a request is, once it has ended. */
const ask = (user: User, path: string, init?: RequestInit) =>
  inTime(
    user.fetch(path, init).then(async (response) => ({
      status: response.status,
      type: response.headers.get("Content-Type"),
      text: await response.text(),
    })),
  );

const posting = (streamId: StreamId) => ({
  method: "POST",
  body: JSON.stringify({ streamId }),
});

const drive = (user: User, streamId: StreamId) =>
  ask(user, "/assistant", posting(streamId));

const read = (user: User, streamId: StreamId) =>
  ask(user, `/assistant?streamId=${streamId}`);

const saved = (user: User, streamId: StreamId) =>
  user.query(api.chat.getStreamBody, { streamId });

describe.each(["request", "action", "node"] as const)(
  "a reply that is generated in mode %s",
  (generation) => {
    async function generate(streamId: StreamId) {
      if (generation === "request") return await drive(alice, streamId);
      // Not by running all timers: one of them ends streams that nobody writes.
      while (!isFinal((await saved(alice, streamId)).status)) {
        await vi.advanceTimersByTimeAsync(100);
      }
    }

    test("has reasoning, a tool call, its result and text, and is saved", async () => {
      const asked = stubModel(...withTable);
      const { streamId, conversationId } = await send(alice, "High water?", {
        generation,
      });
      await generate(streamId);
      expect(
        await alice.query(api.assistant.listTurns, { conversationId }),
      ).toMatchObject([{ prompt: "High water?", status: "done", generation }]);
      const { text } = await saved(alice, streamId);
      const message = await messageOf(streamId, text);
      expect(message).toMatchObject({ id: streamId, role: "assistant" });
      expect(
        message.parts.filter(({ type }) => type !== "step-start"),
      ).toMatchObject([
        { type: "reasoning", text: "There is a table." },
        {
          type: "tool-tideTable",
          state: "output-available",
          input: { port: "Brest" },
          output: { port: "Brest", day: "2026-11-21" },
        },
        { type: "text", text: "It is high at noon.\nTake care." },
      ]);
      expect(asked).toHaveLength(2);
      expect(asked[1]?.messages.at(-1)).toMatchObject({
        role: "tool",
        tool_call_id: "call-1",
        content: expect.stringContaining('"port":"Brest"') as string,
      });
    });

    test("that the model refuses says why, and has failed", async () => {
      stubModel(new Error("Not today."));
      const { streamId } = await send(alice, "Hi", { generation });
      await generate(streamId);
      const { text, status } = await saved(alice, streamId);
      expect(status).toBe("error");
      expect((await messageOf(streamId, text)).metadata?.error).toBe(
        "**The model refused to answer.** Not today.",
      );
    });

    test("that breaks off says why, and keeps what there was", async () => {
      stubModel([says("Half"), { error: { message: "Out of breath." } }]);
      const { streamId } = await send(alice, "Hi", { generation });
      await generate(streamId);
      const { text, status } = await saved(alice, streamId);
      expect(status).toBe("error");
      const message = await messageOf(streamId, text);
      expect(message.metadata?.error).toBe("Out of breath.");
      expect(message.parts.at(-1)).toMatchObject({ text: "Half" });
    });

    test.each([
      ["length", /maximum length/],
      ["content_filter", /content filter/],
      [undefined, /without a finish reason/],
    ])("that ends with %s has failed", async (finish_reason, why) => {
      stubModel([says("Half"), { finish_reason }]);
      const { streamId } = await send(alice, "Hi", { generation });
      await generate(streamId);
      const { text, status } = await saved(alice, streamId);
      expect(status).toBe("error");
      const message = await messageOf(streamId, text);
      expect(message.metadata?.error).toMatch(why);
      expect(message.parts.at(-1)).toMatchObject({ text: "Half" });
    });

    test("is a canned one where there is no model", async () => {
      const { streamId } = await send(alice, "Hi", { generation });
      await generate(streamId);
      const { text, status } = await saved(alice, streamId);
      expect(status).toBe("done");
      const message = await messageOf(streamId, text);
      expect(message.parts.at(-1)).toMatchObject({
        text: expect.stringContaining("OPENAI_API_KEY") as string,
      });
    });

    test("of a conversation that is deleted at once does no harm", async () => {
      const asked = stubModel([says("Hello.")]);
      const { conversationId } = await send(alice, "Hi", { generation });
      await alice.mutation(api.conversations.remove, { conversationId });
      await inTime(t.finishAllScheduledFunctions(vi.runAllTimers));
      expect(asked).toHaveLength(0);
    });
  },
);

describe("over HTTP", () => {
  test("the AI SDK accepts the reply, and the reply read again", async () => {
    stubModel(...withTable);
    const { streamId } = await send(alice, "High water?");
    const driven = await drive(alice, streamId);
    expect(driven.status).toBe(200);
    expect(driven.text.split("\n\n").slice(0, 2)).toEqual([
      `data: {"type":"start","messageId":"${streamId}"}`,
      'data: {"type":"start-step"}',
    ]);
    expect(driven.text).toMatch(/\n\ndata: \[DONE\]\n\n$/);
    expect((await saved(alice, streamId)).text).toBe(driven.text);
    expect(await read(alice, streamId)).toEqual(driven);
  });

  test("the AI SDK's own transport reads it: as it is written, and again", async () => {
    stubModel(...withTable);
    const { streamId } = await send(alice, "High water?");
    const transport = new DefaultChatTransport<AssistantMessage>({
      api: "/assistant",
      fetch: (path, init) => alice.fetch(path as string, init),
      prepareSendMessagesRequest: () => ({ body: { streamId } }),
      prepareReconnectToStreamRequest: () => ({
        api: `/assistant?streamId=${streamId}`,
      }),
    });
    const chunksOf = async (stream: ReadableStream<UIMessageChunk> | null) => {
      const chunks: UIMessageChunk[] = [];
      const reader = stream!.getReader();
      for (;;) {
        const { done, value } = await reader.read();
        if (done) return chunks;
        chunks.push(value);
      }
    };
    const written = await inTime(
      transport
        .sendMessages({
          trigger: "submit-message",
          chatId: "chat",
          messageId: undefined,
          messages: [],
          abortSignal: undefined,
        })
        .then(chunksOf),
    );
    expect(written.map(({ type }) => type)).toEqual(
      expect.arrayContaining([
        "start",
        "reasoning-delta",
        "tool-input-available",
        "tool-output-available",
        "text-delta",
        "finish",
      ]),
    );
    expect(
      await inTime(
        transport.reconnectToStream({ chatId: "chat" }).then(chunksOf),
      ),
    ).toEqual(written);
  });

  test("a second request for the same reply does not ask the model", async () => {
    const asked = stubModel([says("Once.")], [says("Twice.")]);
    const { streamId } = await send(alice, "Hi");
    await drive(alice, streamId);
    expect(await drive(alice, streamId)).toMatchObject({
      status: 205,
      text: "",
    });
    expect(asked).toHaveLength(1);
  });

  test("a reply in the background is not written a second time by a request", async () => {
    const asked = stubModel([says("Once.")], [says("Twice.")]);
    const { streamId } = await send(alice, "Hi", { generation: "action" });
    await inTime(t.finishAllScheduledFunctions(vi.runAllTimers));
    expect((await drive(alice, streamId)).status).toBe(205);
    expect(asked).toHaveLength(1);
  });
});

describe("stop", () => {
  test("ends a reply half way; the next turn's history has what there was", async () => {
    vi.stubEnv("TIDE_TABLE_MS", "60000");
    const asked = stubModel(withTable[0]!, [says("Of course.")]);
    const first = await send(alice, "High water?");
    const driving = drive(alice, first.streamId);
    const called = async () =>
      (await saved(alice, first.streamId)).text.includes("tool-input-avail");
    while (!(await called())) await vi.advanceTimersByTimeAsync(10);
    await alice.mutation(api.chat.abortStream, { streamId: first.streamId });
    await driving;
    const body = await saved(alice, first.streamId);
    expect(body.status).toBe("aborted");
    const { parts } = await messageOf(first.streamId, body.text);
    expect(parts.at(-1)).toMatchObject({ state: "input-available" });

    const second = await send(alice, "Never mind", first);
    await drive(alice, second.streamId);
    expect((await saved(alice, second.streamId)).status).toBe("done");
    expect(asked[1]?.messages.slice(1)).toEqual([
      { role: "user", content: "High water?" },
      { role: "user", content: "Never mind" },
    ]);
  });
});

describe("the history", () => {
  test("has the tool calls and texts of earlier turns, not their reasoning", async () => {
    const asked = stubModel(...withTable, [says("Yes.")]);
    const first = await send(alice, "High water?");
    await drive(alice, first.streamId);
    const second = await send(alice, "Sure?", first);
    await drive(alice, second.streamId);
    const sent = asked[2]?.messages.slice(1);
    expect(sent).toMatchObject([
      { role: "user", content: "High water?" },
      { role: "assistant", tool_calls: [{ id: "call-1" }] },
      { role: "tool", tool_call_id: "call-1" },
      { role: "assistant", content: "It is high at noon.\nTake care." },
      { role: "user", content: "Sure?" },
    ]);
    expect(JSON.stringify(sent)).not.toContain("There is a table");
  });

  test("is fit for a model wherever a reply was cut off", async () => {
    stubModel(...withTable);
    const { streamId } = await send(alice, "High water?");
    const { text } = await drive(alice, streamId);
    const turn = { messageId: "m", prompt: "P", streamId };
    // Each line is cut at several of its characters.
    for (let length = 0; length <= text.length; length += 7) {
      const messages = await modelMessages([
        { ...turn, reply: text.slice(0, length) },
        { ...turn, reply: "" },
      ]);
      const parts = messages.flatMap((message): object[] =>
        typeof message.content === "string" ? [] : [...message.content],
      ) as { type: string; toolCallId?: string }[];
      const ids = (wanted: string) =>
        parts
          .filter(({ type }) => type === wanted)
          .map(({ toolCallId }) => toolCallId);
      expect(ids("tool-call")).toEqual(ids("tool-result"));
      expect(messages.every(({ content }) => content.length > 0)).toBe(true);
      expect(messages.at(-1)?.role).toBe("user");
    }
  });
});

describe("one turn follows the other", () => {
  test("a message is refused while the reply to the last is being written", async () => {
    stubModel([says("Hello.")], [says("Again.")]);
    const first = await send(alice, "A");
    await expect(send(alice, "B", first)).rejects.toThrow(
      "still being written",
    );
    await drive(alice, first.streamId);
    const { streamId } = await send(alice, "B", first);
    await drive(alice, streamId);
  });
});

describe("beside the chat", () => {
  test("each kind of conversation is in the list, and neither is taken for the other", async () => {
    const asked = stubModel([says("Hello.")]);
    const chat = await alice.mutation(api.chat.sendMessage, { prompt: "A" });
    vi.setSystemTime(Date.now() + 1000);
    const assistant = await send(alice, "B");
    expect(await alice.query(api.conversations.list)).toEqual([
      {
        _id: assistant.conversationId,
        title: "B",
        kind: "assistant",
        writing: true,
      },
      { _id: chat.conversationId, title: "A", kind: "chat", writing: true },
    ]);

    await expect(send(alice, "C", chat)).rejects.toThrow("does not exist");
    const { conversationId } = assistant;
    await expect(
      alice.mutation(api.chat.sendMessage, { prompt: "C", conversationId }),
    ).rejects.toThrow("does not exist");
    expect(
      await alice.query(api.chat.listMessages, { conversationId }),
    ).toBeNull();
    expect(
      await alice.query(api.assistant.listTurns, {
        conversationId: chat.conversationId,
      }),
    ).toBeNull();

    const asChat = await ask(
      alice,
      "/chat-stream",
      posting(assistant.streamId),
    );
    expect(asChat.status).toBe(403);
    expect((await drive(alice, chat.streamId)).status).toBe(403);
    expect((await read(alice, chat.streamId)).status).toBe(403);
    expect(asked).toHaveLength(0);
  });
});
