import { isFinal, type StreamId } from "@convex-dev/persistent-text-streaming";
import { describe, expect, test, vi } from "vitest";
import { api } from "./_generated/api";
import { messageOf, modelMessages } from "./assistantMessages";
import {
  ask,
  calls,
  drive,
  ends,
  inTime,
  says,
  stubModel,
  thinks,
  useApp,
  type Answer,
} from "./setup.testing";

const app = useApp();

/** A model's answers to a question that needs the table: two requests. */
const withTable = [
  [thinks("There is"), thinks(" a table."), calls('{"port":"Brest"}')],
  [says("It is high "), says("at noon.\n"), says("Take care.")],
];

type Generation = "request" | "action" | "node";
let serial = 0;
const send = (
  prompt: string,
  options: { generation?: Generation; conversationId?: string } = {},
) =>
  app.alice.mutation(api.assistant.send, {
    prompt,
    messageId: `message-${serial++}`,
    generation: options.generation ?? "request",
    conversationId: options.conversationId,
  });
const write = (streamId: StreamId) => drive(app.alice, "/assistant", streamId);
const saved = (streamId: StreamId) =>
  app.alice.query(api.chat.getStreamBody, { streamId });

describe.each(["request", "action", "node"] as const)(
  "a reply that is generated in mode %s",
  (generation) => {
    test("has reasoning, a tool call, its result and text, and is written once", async () => {
      const asked = stubModel(...withTable);
      const { streamId, conversationId } = await send("High water?", {
        generation,
      });
      if (generation === "request") await write(streamId);
      // Not by running all timers: one of them ends streams without a writer.
      while (!isFinal((await saved(streamId)).status)) {
        await vi.advanceTimersByTimeAsync(100);
      }
      expect(
        await app.alice.query(api.assistant.listTurns, { conversationId }),
      ).toMatchObject([{ prompt: "High water?", status: "done", generation }]);
      const { text } = await saved(streamId);
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
      expect((await write(streamId)).status).toBe(205);
      const path = `/assistant?streamId=${streamId}`;
      expect(await ask(app.alice, path)).toEqual({ status: 200, text });
      expect(asked).toHaveLength(2);
      expect(asked[1]?.at(-1)).toMatchObject({
        role: "tool",
        tool_call_id: "call-1",
        content: expect.stringContaining('"port":"Brest"') as string,
      });
    });

    test("of a conversation that is deleted at once does no harm", async () => {
      const asked = stubModel([says("Hello.")]);
      const { conversationId } = await send("Hi", { generation });
      await app.alice.mutation(api.conversations.remove, { conversationId });
      await inTime(app.t.finishAllScheduledFunctions(vi.runAllTimers));
      expect(asked).toHaveLength(0);
    });
  },
);

const half = says("Half");
test.each<[string, Answer, string]>([
  ["refuses", new Error("Not today."), "The model refused to answer"],
  ["breaks off", [half, { error: { message: "Oh!" } }], "Oh!"],
  ["reaches its length", [half, ends("length")], "maximum length"],
  ["filters its reply", [half, ends("content_filter")], "content filter"],
  ["does not end", [half, ends()], "without a finish reason"],
])("a model that %s: the reply has failed", async (_, answer, why) => {
  const isRefused = answer instanceof Error;
  stubModel(answer, answer);
  const { streamId } = await send("Hi");
  await write(streamId);
  const { text, status } = await saved(streamId);
  expect(status).toBe("error");
  const { metadata, parts } = await messageOf(streamId, text);
  expect(metadata?.error).toContain(why);
  if (!isRefused) expect(parts.at(-1)).toMatchObject({ text: "Half" });

  const chat = await app.alice.mutation(api.chat.sendMessage, { prompt: "Hi" });
  await drive(app.alice, "/chat-stream", chat.streamId);
  expect(await saved(chat.streamId)).toMatchObject({
    text: expect.stringContaining(isRefused ? why : "Half") as string,
    status: "error",
  });
});

test("a reply that is stopped half way: the next turn's history has what there was", async () => {
  vi.stubEnv("TIDE_TABLE_MS", "60000");
  const asked = stubModel(withTable[0]!, [says("Of course.")]);
  const first = await send("High water?");
  const writing = write(first.streamId);
  const called = async () =>
    (await saved(first.streamId)).text.includes("tool-input-avail");
  while (!(await called())) await vi.advanceTimersByTimeAsync(10);
  await app.alice.mutation(api.chat.abortStream, { streamId: first.streamId });
  await writing;
  const body = await saved(first.streamId);
  expect(body.status).toBe("aborted");
  const { parts } = await messageOf(first.streamId, body.text);
  expect(parts.at(-1)).toMatchObject({ state: "input-available" });

  const second = await send("Never mind", first);
  await write(second.streamId);
  expect(asked[1]).toEqual([
    { role: "user", content: "High water?" },
    { role: "user", content: "Never mind" },
  ]);
});

describe("the history", () => {
  test("has the tool calls and texts of earlier turns, not their reasoning", async () => {
    const asked = stubModel(...withTable, [says("Yes.")]);
    const first = await send("High water?");
    await write(first.streamId);
    await write((await send("Sure?", first)).streamId);
    expect(asked[2]).toMatchObject([
      { role: "user", content: "High water?" },
      { role: "assistant", tool_calls: [{ id: "call-1" }] },
      { role: "tool", tool_call_id: "call-1" },
      { role: "assistant", content: "It is high at noon.\nTake care." },
      { role: "user", content: "Sure?" },
    ]);
    expect(JSON.stringify(asked[2])).not.toContain("There is a table");
  });

  test("is fit for a model wherever a reply was cut off", async () => {
    stubModel(...withTable);
    const { streamId } = await send("High water?");
    const { text } = await write(streamId);
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

test("a message is refused while the last reply is being written; a retry replaces it", async () => {
  stubModel([says("Hello.")], [says("Hello again.")]);
  const first = await send("A");
  await expect(send("B", first)).rejects.toThrow("still being written");
  await write(first.streamId);
  const { conversationId } = first;
  const turns = async () =>
    (await app.alice.query(api.assistant.listTurns, { conversationId })) ?? [];
  const messageId = (await turns())[0]!._id;
  const again = await app.alice.mutation(api.assistant.retry, { messageId });
  await write(again.streamId);
  expect(await turns()).toMatchObject([
    { streamId: again.streamId, earlierStreamIds: [first.streamId] },
  ]);
  await send("B", first);
});

test("chats and assistants have their own functions", async () => {
  const { alice } = app;
  const chat = await alice.mutation(api.chat.sendMessage, { prompt: "A" });
  const assistant = await send("B");
  expect(await alice.query(api.conversations.list)).toMatchObject([
    { kind: "assistant" },
    { kind: "chat" },
  ]);
  await expect(send("C", chat)).rejects.toThrow("does not exist");
  const { conversationId } = assistant;
  await expect(
    alice.mutation(api.chat.sendMessage, { prompt: "C", conversationId }),
  ).rejects.toThrow("does not exist");
});
