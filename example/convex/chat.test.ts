import { isFinal, type StreamId } from "@convex-dev/persistent-text-streaming";
import { describe, expect, test, vi } from "vitest";
import { api } from "./_generated/api";
import type { Id } from "./_generated/dataModel";
import { FALLBACK_MS, MAX_EARLIER_REPLIES, MAX_PROMPT_LENGTH } from "./limits";
import { untilSilent } from "./model";
import { drive, says, stubModel, useApp, type User } from "./setup.testing";

const app = useApp();

const send = (prompt: string, conversationId?: string) =>
  app.alice.mutation(api.chat.sendMessage, { prompt, conversationId });
const write = (streamId: StreamId) =>
  drive(app.alice, "/chat-stream", streamId);
const bodyOf = (user: User, streamId: StreamId) =>
  user.query(api.chat.getStreamBody, { streamId });
const list = () => app.alice.query(api.conversations.list);
const messagesOf = async (conversationId: Id<"conversations">) =>
  (await app.alice.query(api.chat.listMessages, { conversationId })) ?? [];
const retry = (messageId: Id<"userMessages">) =>
  app.alice.mutation(api.chat.retry, { messageId });

/** The error for a reply that does not exist, or is someone else's. */
const gone = "This reply is gone, or is not yours.";

describe("sending", () => {
  test("begins a conversation, named after the message", async () => {
    const sent = await send(`${"word ".repeat(20)}\nand more`);
    expect(await list()).toEqual([
      {
        _id: sent.conversationId,
        kind: "chat",
        title: expect.stringMatching(/^word .+…$/) as string,
        writing: true,
      },
    ]);
  });

  test("continues a conversation, which then comes first", async () => {
    const first = await send("A");
    vi.setSystemTime(Date.now() + 1000);
    await send("B");
    vi.setSystemTime(Date.now() + 1000);
    await send("C", first.conversationId);
    expect((await list()).map(({ title }) => title)).toEqual(["A", "B"]);
    expect(await messagesOf(first.conversationId)).toHaveLength(2);
  });

  test.each([
    [
      "x".repeat(MAX_PROMPT_LENGTH + 1),
      undefined,
      "This message has 8,001 characters; at most 8,000",
    ],
    [" \n", undefined, "There is nothing in this message"],
    ["Hi", "nonsense", "This conversation does not exist"],
  ])("refuses %.9j in conversation %s", async (prompt, id, error) => {
    await expect(send(prompt, id)).rejects.toThrow(error);
  });
});

describe("a reply", () => {
  test("streams, is saved, and is written once", async () => {
    const asked = stubModel([says("Hello"), says(" there."), says(" Bye.")]);
    const { streamId, conversationId } = await send("Hi");
    const text = "Hello there. Bye.";
    expect(await write(streamId)).toEqual({ status: 200, text });
    expect(await write(streamId)).toEqual({ status: 205, text: "" });
    expect(await bodyOf(app.alice, streamId)).toMatchObject({
      text,
      status: "done",
    });
    expect(await messagesOf(conversationId)).toMatchObject([
      { status: "done" },
    ]);
    expect(asked).toHaveLength(1);
  });

  test("is given the history, up to its own message", async () => {
    const asked = stubModel([says("One.")], [says("Two.")], [says("Three.")]);
    const { streamId, conversationId } = await send("A");
    await write(streamId);
    await write((await send("B", conversationId)).streamId);
    const [, message] = await messagesOf(conversationId);
    await send("C", conversationId);
    await write((await retry(message!._id)).streamId);
    const history = [
      { role: "user", content: "A" },
      { role: "assistant", content: "One." },
      { role: "user", content: "B" },
    ];
    expect(asked).toEqual([history.slice(0, 1), history, history]);
  });

  test("is a canned one without a key, and the page is told", async () => {
    vi.stubEnv("OPENAI_API_KEY", "");
    expect(await app.alice.query(api.chat.hasModel, {})).toBe(false);
    const { text } = await write((await send("Hi")).streamId);
    expect(text).toContain("npx convex env set OPENAI_API_KEY");
  });

  test("is written by the fallback, once, if its tab asks too late or never", async () => {
    const asked = stubModel([says("Hello there.")]);
    const { streamId } = await send("Hi");
    await vi.advanceTimersByTimeAsync(FALLBACK_MS - 1);
    expect(asked).toHaveLength(0);
    while (!isFinal((await bodyOf(app.alice, streamId)).status)) {
      await vi.advanceTimersByTimeAsync(10);
    }
    expect((await write(streamId)).status).toBe(205);
    expect(await bodyOf(app.alice, streamId)).toMatchObject({
      text: "Hello there.",
      status: "done",
    });
    expect(asked).toHaveLength(1);
  });

  type End = (
    streamId: StreamId,
    messageId: Id<"userMessages">,
  ) => Promise<unknown>;
  test.each<[string, End, boolean]>([
    ["written", write, false],
    [
      "stopped",
      (streamId) => app.alice.mutation(api.chat.abortStream, { streamId }),
      false,
    ],
    [
      "deleted",
      (_, messageId) =>
        app.alice.mutation(api.chat.deleteMessage, { messageId }),
      false,
    ],
    ["replaced", (_, messageId) => retry(messageId), true],
  ])("that is %s cancels its fallback", async (_, end, writing) => {
    stubModel([says("Hello.")], [says("Hello.")]);
    const { streamId, conversationId } = await send("Hi");
    const [message] = await messagesOf(conversationId);
    await end(streamId, message!._id);
    const [job] = await app.t.run(({ db }) =>
      db.system.query("_scheduled_functions").take(1),
    );
    expect(job).toMatchObject({
      name: "writers:chat",
      state: { kind: "canceled" },
    });
    expect(await list()).toMatchObject([{ writing }]);
  });

  test("says why the model refused, and can be retried; its text stays as long as the message", async () => {
    vi.spyOn(console, "error").mockImplementation(() => {});
    stubModel(new Error("No credit left."), [says("Fine.")]);
    const { streamId, conversationId } = await send("Hi");
    await write(streamId);
    const refused = {
      text: expect.stringContaining("No credit left.") as string,
      status: "error",
    };
    expect(await bodyOf(app.alice, streamId)).toMatchObject(refused);
    const [message] = await messagesOf(conversationId);
    const messageId = message!._id;
    const again = await retry(messageId);
    await write(again.streamId);
    expect(await messagesOf(conversationId)).toMatchObject([
      { _id: messageId, status: "done", responseStreamId: again.streamId },
    ]);
    expect(await bodyOf(app.alice, streamId)).toMatchObject(refused);
    const mallory = app.t.withIdentity({ name: "Mallory" });
    await expect(bodyOf(mallory, streamId)).rejects.toThrow(gone);
    // Twice, as from two windows.
    await app.alice.mutation(api.chat.deleteMessage, { messageId });
    await app.alice.mutation(api.chat.deleteMessage, { messageId });
    await expect(bodyOf(app.alice, streamId)).rejects.toThrow(gone);
    expect((await write(again.streamId)).status).toBe(403);
  });

  test("has failed if the model falls silent", async () => {
    const hangs = (async function* () {
      yield "Half a";
      await new Promise(() => {});
    })();
    const pieces = untilSilent(hangs);
    expect((await pieces.next()).value).toBe("Half a");
    const next = pieces.next();
    next.catch(() => {});
    await vi.advanceTimersByTimeAsync(70_000);
    await expect(next).rejects.toThrow("stopped sending text");
  });

  test("that a retry replaced is kept, with a few others", async () => {
    const { conversationId } = await send("Hi");
    const streams: StreamId[] = [];
    for (let i = 0; i < MAX_EARLIER_REPLIES + 2; i++) {
      const [message] = await messagesOf(conversationId);
      const kept = streams.slice(-MAX_EARLIER_REPLIES);
      expect(message!.earlierStreamIds).toEqual(kept);
      streams.push(message!.responseStreamId);
      await retry(message!._id);
    }
    await expect(bodyOf(app.alice, streams[1]!)).rejects.toThrow(gone);
    expect(await bodyOf(app.alice, streams[2]!)).toMatchObject({
      status: "aborted",
    });
  });
});
