/// <reference types="vite/client" />
import { isFinal, type StreamId } from "@convex-dev/persistent-text-streaming";
import { register } from "@convex-dev/persistent-text-streaming/test";
import { AsyncLocalStorage } from "node:async_hooks";
import { convexTest, type TestConvex } from "convex-test";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { withLimits } from "../../test/support/with-limits";
import { api } from "./_generated/api";
import type { Id } from "./_generated/dataModel";
// Loaded now: while it loads later, the fake clock would run past the fallback.
import "./http";
import { FALLBACK_MS, MAX_EARLIER_REPLIES, MAX_PROMPT_LENGTH } from "./limits";
import schema from "./schema";

const modules = import.meta.glob(["./**/*.ts", "./**/*.js", "!./**/*.test.ts"]);

type App = TestConvex<typeof schema>;
type User = ReturnType<App["withIdentity"]>;

let t: App;
let alice: User;
let mallory: User;

beforeEach(() => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "Date"] });
  // What a timer calls belongs to the action that set it, not to the test that moves the clock.
  const { setTimeout } = globalThis;
  vi.stubGlobal("setTimeout", (call: () => void, ms?: number) =>
    setTimeout(AsyncLocalStorage.bind(call), ms),
  );
  t = withLimits(convexTest({ schema, modules, transactionLimits: true }));
  register(t);
  alice = t.withIdentity({ name: "Alice" });
  mallory = t.withIdentity({ name: "Mallory" });
});

afterEach(async () => {
  await t.finishAllScheduledFunctions(vi.runAllTimers);
  vi.useRealTimers();
  vi.unstubAllEnvs();
  vi.unstubAllGlobals();
});

/** A model that answers with these words, or with this error. */
function stubModel(...answers: (string[] | Error)[]) {
  const asked: { role: string; content: string }[][] = [];
  vi.stubEnv("OPENAI_API_KEY", "test");
  vi.stubGlobal("fetch", (_url: unknown, init: { body: string }) => {
    const { messages } = JSON.parse(init.body) as {
      messages: { role: string; content: string }[];
    };
    asked.push(messages.filter(({ role }) => role !== "system"));
    const answer = answers[asked.length - 1] ?? [];
    if (answer instanceof Error) {
      return Promise.resolve(
        Response.json({ error: { message: answer.message } }, { status: 400 }),
      );
    }
    const choices = [
      ...answer.map((content) => ({ index: 0, delta: { content } })),
      { index: 0, delta: {}, finish_reason: "stop" },
    ];
    const events = choices.map(
      (choice) => `data: ${JSON.stringify({ choices: [choice] })}\n\n`,
    );
    return Promise.resolve(
      new Response([...events, "data: [DONE]\n\n"].join(""), {
        headers: { "Content-Type": "text/event-stream" },
      }),
    );
  });
  return asked;
}

/** A model that sends a few words, and then this. */
function stubModelThatSends(...events: string[]) {
  vi.stubEnv("OPENAI_API_KEY", "test");
  vi.stubGlobal("fetch", () => {
    const encoder = new TextEncoder();
    const send = [`{"choices":[{"index":0,"delta":{"content":"Half a"}}]}`];
    const body = new ReadableStream<Uint8Array>({
      pull(controller) {
        const event = send.shift() ?? events.shift();
        if (event === undefined) controller.close();
        else if (event === "cut") controller.error(new TypeError("terminated"));
        else if (event === "hang") return new Promise(() => {});
        else controller.enqueue(encoder.encode(`data: ${event}\n\n`));
        return undefined;
      },
    });
    return Promise.resolve(
      new Response(body, { headers: { "Content-Type": "text/event-stream" } }),
    );
  });
}

/** What may become of a reply half way, and what is logged of it. */
const breaks: [string, string[], RegExp][] = [
  ["is cut", ["cut"], /terminated|connection/i],
  ["ends without saying so", [], /connection to the model was lost/],
  ["hangs", ["hang"], /stopped sending text/],
  ["is not JSON", ["{oops"], /JSON|parse/i],
  [
    "is an error",
    ['{"error":{"message":"Overloaded","code":429}}'],
    /Overloaded/,
  ],
  ...(["length", "content_filter"] as const).map(
    (reason): [string, string[], RegExp] => [
      `ends with ${reason}`,
      [
        `{"choices":[{"index":0,"delta":{},"finish_reason":"${reason}"}]}`,
        "[DONE]",
      ],
      /maximum length|content filter/,
    ],
  ),
];

/** Runs the clock along: saving waits for it, and so the response ends. */
async function drive(user: User, streamId: StreamId) {
  const running = user
    .fetch("/chat-stream", {
      method: "POST",
      body: JSON.stringify({ streamId }),
    })
    .then(async (response) => ({
      status: response.status,
      text: await response.text(),
    }));
  let ended = false;
  const end = () => (ended = true);
  running.then(end, end);
  while (!ended) await vi.advanceTimersByTimeAsync(10);
  return await running;
}

async function messagesOf(
  user: User,
  conversationId: Id<"conversations">,
): Promise<{ _id: Id<"userMessages">; status: string; streamId: StreamId }[]> {
  const messages = await user.query(api.chat.listMessages, { conversationId });
  return (messages ?? []).map(({ _id, status, responseStreamId }) => ({
    _id,
    status,
    streamId: responseStreamId,
  }));
}

const bodyOf = (user: User, streamId: StreamId, from?: number) =>
  user.query(api.chat.getStreamBody, { streamId, from });

/** What is said of a reply that does not exist, or is somebody else's. */
const gone = "This reply is gone, or is not yours.";

describe("sending", () => {
  test("begins a conversation, whose title is how the message begins", async () => {
    const sent = await alice.mutation(api.chat.sendMessage, {
      prompt: `${"word ".repeat(20)}\nand more`,
    });
    const list = await alice.query(api.conversations.list);
    expect(list).toEqual([
      {
        _id: sent.conversationId,
        kind: "chat",
        title: expect.stringMatching(/^word .+…$/) as string,
        writing: true,
      },
    ]);
    expect(await messagesOf(alice, sent.conversationId)).toMatchObject([
      { status: "pending", streamId: sent.streamId },
    ]);
  });

  test("continues a conversation, which then comes first", async () => {
    const first = await alice.mutation(api.chat.sendMessage, { prompt: "A" });
    vi.setSystemTime(Date.now() + 1000);
    await alice.mutation(api.chat.sendMessage, { prompt: "B" });
    vi.setSystemTime(Date.now() + 1000);
    await alice.mutation(api.chat.sendMessage, {
      prompt: "C",
      conversationId: first.conversationId,
    });
    const list = await alice.query(api.conversations.list);
    expect(list.map(({ title }) => title)).toEqual(["A", "B"]);
    expect(await messagesOf(alice, first.conversationId)).toHaveLength(2);
  });

  test("refuses a message over the limit, and says by how much", async () => {
    await expect(
      alice.mutation(api.chat.sendMessage, {
        prompt: "x".repeat(MAX_PROMPT_LENGTH + 1),
      }),
    ).rejects.toThrow("This message has 8,001 characters; at most 8,000");
  });

  test("refuses an empty message", async () => {
    await expect(
      alice.mutation(api.chat.sendMessage, { prompt: " \n" }),
    ).rejects.toThrow("There is nothing in this message");
  });

  test("refuses an unknown conversation, whatever its id looks like", async () => {
    const { conversationId } = await alice.mutation(api.chat.sendMessage, {
      prompt: "A",
    });
    await alice.mutation(api.conversations.remove, { conversationId });
    for (const id of [conversationId, "nonsense"]) {
      await expect(
        alice.mutation(api.chat.sendMessage, {
          prompt: "B",
          conversationId: id,
        }),
      ).rejects.toThrow("This conversation does not exist");
      expect(
        await alice.query(api.chat.listMessages, { conversationId: id }),
      ).toBeNull();
    }
  });
});

describe("a reply", () => {
  test("streams, and is saved", async () => {
    stubModel(["Hello", " there.", " How are", " you?"]);
    const { streamId, conversationId } = await alice.mutation(
      api.chat.sendMessage,
      { prompt: "Hi" },
    );
    const response = await drive(alice, streamId);
    expect(response).toEqual({
      status: 200,
      text: "Hello there. How are you?",
    });
    expect(await bodyOf(alice, streamId)).toMatchObject({
      text: "Hello there. How are you?",
      status: "done",
    });
    expect(await bodyOf(alice, streamId, 6)).toMatchObject({
      text: "there. How are you?",
      from: 6,
    });
    expect(await messagesOf(alice, conversationId)).toMatchObject([
      { status: "done" },
    ]);
  });

  test("is written once, however often it is asked for", async () => {
    const asked = stubModel(["Once."], ["Twice."]);
    const { streamId } = await alice.mutation(api.chat.sendMessage, {
      prompt: "Hi",
    });
    await drive(alice, streamId);
    expect(await drive(alice, streamId)).toEqual({ status: 205, text: "" });
    expect(asked).toHaveLength(1);
  });

  test("is given the history, up to its own message", async () => {
    const asked = stubModel(["One."], ["Two."], ["Two again."]);
    const first = await alice.mutation(api.chat.sendMessage, { prompt: "A" });
    await drive(alice, first.streamId);
    const second = await alice.mutation(api.chat.sendMessage, {
      prompt: "B",
      conversationId: first.conversationId,
    });
    await drive(alice, second.streamId);
    const [, message] = await messagesOf(alice, first.conversationId);
    await alice.mutation(api.chat.sendMessage, {
      prompt: "C",
      conversationId: first.conversationId,
    });
    const again = await alice.mutation(api.chat.retry, {
      messageId: message!._id,
    });
    await drive(alice, again.streamId);
    const history = [
      { role: "user", content: "A" },
      { role: "assistant", content: "One." },
      { role: "user", content: "B" },
    ];
    expect(asked).toEqual([history.slice(0, 1), history, history]);
  });

  test("is a canned one where there is no key, and the page is told", async () => {
    vi.stubEnv("OPENAI_API_KEY", "");
    expect(await alice.query(api.chat.hasModel, {})).toBe(false);
    const { streamId } = await alice.mutation(api.chat.sendMessage, {
      prompt: "Hi",
    });
    const { text } = await drive(alice, streamId);
    expect(text).toContain("npx convex env set OPENAI_API_KEY");
    const body = await bodyOf(alice, streamId);
    expect(body).toMatchObject({ text, status: "done" });
  });

  test("is written by the fallback, once, if its tab asks too late or never", async () => {
    const asked = stubModel(["Hello", " there."]);
    const { streamId } = await alice.mutation(api.chat.sendMessage, {
      prompt: "Hi",
    });
    await vi.advanceTimersByTimeAsync(FALLBACK_MS - 1);
    expect(asked).toHaveLength(0);
    while (!isFinal((await bodyOf(alice, streamId)).status)) {
      await vi.advanceTimersByTimeAsync(10);
    }
    expect((await drive(alice, streamId)).status).toBe(205);
    const body = await bodyOf(alice, streamId);
    expect(body).toMatchObject({ text: "Hello there.", status: "done" });
    expect(asked).toHaveLength(1);
  });

  test.each(["done", "aborted", "deleted", "replaced"])(
    "that is %s cancels its fallback",
    async (end) => {
      stubModel(["Hello."], ["Hello."]);
      const { streamId } = await alice.mutation(api.chat.sendMessage, {
        prompt: "Hi",
      });
      const messageId = (await t.run(({ db }) =>
        db.query("userMessages").first(),
      ))!._id;
      if (end === "done") await drive(alice, streamId);
      if (end === "aborted")
        await alice.mutation(api.chat.abortStream, { streamId });
      if (end === "deleted")
        await alice.mutation(api.chat.deleteMessage, { messageId });
      if (end === "replaced")
        await alice.mutation(api.chat.retry, { messageId });
      const [job] = await t.run(({ db }) =>
        db.system.query("_scheduled_functions").take(1),
      );
      expect(job).toMatchObject({
        name: "writers:chat",
        state: { kind: "canceled" },
      });
    },
  );

  test("says so when the model refuses, and can be retried", async () => {
    vi.spyOn(console, "error").mockImplementation(() => {});
    stubModel(new Error("No credit left."), ["Fine."]);
    const { streamId, conversationId } = await alice.mutation(
      api.chat.sendMessage,
      { prompt: "Hi" },
    );
    await drive(alice, streamId);
    expect(await bodyOf(alice, streamId)).toMatchObject({
      text: expect.stringContaining("No credit left.") as string,
      status: "error",
    });
    const [message] = await messagesOf(alice, conversationId);
    const again = await alice.mutation(api.chat.retry, {
      messageId: message!._id,
    });
    expect(again.streamId).not.toBe(streamId);
    await drive(alice, again.streamId);
    expect(await messagesOf(alice, conversationId)).toEqual([
      { _id: message!._id, status: "done", streamId: again.streamId },
    ]);
    // The replaced reply stays readable, by its owner, until the message goes.
    expect(await bodyOf(alice, streamId)).toMatchObject({
      text: expect.stringContaining("No credit left.") as string,
      status: "error",
    });
    await expect(bodyOf(mallory, streamId)).rejects.toThrow(gone);
    await alice.mutation(api.chat.deleteMessage, { messageId: message!._id });
    await expect(bodyOf(alice, streamId)).rejects.toThrow(gone);
  });

  test.each(breaks)("that %s half way has failed", async (_, events, why) => {
    const logged = vi.spyOn(console, "error").mockImplementation(() => {});
    stubModelThatSends(...events);
    const { streamId } = await alice.mutation(api.chat.sendMessage, {
      prompt: "Hi",
    });
    expect((await drive(alice, streamId)).text).toBe("Half a");
    expect(await bodyOf(alice, streamId)).toMatchObject({
      text: "Half a",
      status: "error",
    });
    expect(logged.mock.calls.map((line) => line.join(" ")).join()).toMatch(why);
  });

  test("keeps the latest replies that retries have replaced", async () => {
    const { conversationId } = await alice.mutation(api.chat.sendMessage, {
      prompt: "Hi",
    });
    const streams: StreamId[] = [];
    for (let i = 0; i < MAX_EARLIER_REPLIES + 2; i++) {
      const [message] =
        (await alice.query(api.chat.listMessages, {
          conversationId,
        })) ?? [];
      expect(message!.earlierStreamIds).toEqual(
        streams.slice(-MAX_EARLIER_REPLIES),
      );
      streams.push(message!.responseStreamId);
      await alice.mutation(api.chat.retry, { messageId: message!._id });
    }
    await expect(bodyOf(alice, streams[0]!)).rejects.toThrow(gone);
    await expect(bodyOf(alice, streams[1]!)).rejects.toThrow(gone);
    expect(await bodyOf(alice, streams[2]!)).toMatchObject({
      status: "aborted",
    });
  });

  test.each<
    [
      string,
      (streamId: StreamId, messageId: Id<"userMessages">) => Promise<unknown>,
    ]
  >([
    ["is written", (streamId) => drive(alice, streamId)],
    [
      "is stopped",
      (streamId) => alice.mutation(api.chat.abortStream, { streamId }),
    ],
    [
      "is deleted",
      (_, messageId) => alice.mutation(api.chat.deleteMessage, { messageId }),
    ],
    [
      "is retried and written",
      async (_, messageId) => {
        const again = await alice.mutation(api.chat.retry, { messageId });
        await drive(alice, again.streamId);
      },
    ],
  ])("that %s: its conversation is no longer writing", async (_, end) => {
    stubModel(["Hello."]);
    const { streamId, conversationId } = await alice.mutation(
      api.chat.sendMessage,
      { prompt: "Hi" },
    );
    const [message] = await messagesOf(alice, conversationId);
    const writing = async () =>
      (await alice.query(api.conversations.list)).map((c) => c.writing);
    expect(await writing()).toEqual([true]);
    await end(streamId, message!._id);
    expect(await writing()).toEqual([false]);
  });

  test("that was stopped is not written any more", async () => {
    const asked = stubModel(["Never."]);
    const { streamId } = await alice.mutation(api.chat.sendMessage, {
      prompt: "Hi",
    });
    await alice.mutation(api.chat.abortStream, { streamId });
    expect(await drive(alice, streamId)).toEqual({ status: 205, text: "" });
    expect(await bodyOf(alice, streamId)).toMatchObject({ status: "aborted" });
    expect(asked).toEqual([]);
  });

  test("goes with its message", async () => {
    stubModel(["Hello."]);
    const { streamId, conversationId } = await alice.mutation(
      api.chat.sendMessage,
      { prompt: "Hi" },
    );
    await drive(alice, streamId);
    const [message] = await messagesOf(alice, conversationId);
    await alice.mutation(api.chat.deleteMessage, { messageId: message!._id });
    // Twice, as from two windows.
    await alice.mutation(api.chat.deleteMessage, { messageId: message!._id });
    expect(await messagesOf(alice, conversationId)).toEqual([]);
    expect(await drive(alice, streamId)).toMatchObject({ status: 403 });
  });

  test("goes with its conversation", async () => {
    const { streamId, conversationId } = await alice.mutation(
      api.chat.sendMessage,
      { prompt: "Hi" },
    );
    await alice.mutation(api.conversations.remove, { conversationId });
    expect(await alice.query(api.conversations.list)).toEqual([]);
    await t.finishAllScheduledFunctions(vi.runAllTimers);
    await expect(bodyOf(alice, streamId)).rejects.toThrow(gone);
  });
});

test("users who are not signed in share one account", async () => {
  const { streamId } = await t.mutation(api.chat.sendMessage, { prompt: "Hi" });
  expect(await t.query(api.chat.getStreamBody, { streamId })).toMatchObject({
    status: "pending",
  });
  await expect(bodyOf(alice, streamId)).rejects.toThrow(gone);
});

describe("/chat-stream", () => {
  test("answers a browser that asks whether it may", async () => {
    const response = await t.fetch("/chat-stream", {
      method: "OPTIONS",
      headers: {
        Origin: "http://localhost:5173",
        "Access-Control-Request-Headers": "authorization,content-type",
      },
    });
    expect(response.status).toBe(204);
    expect(response.headers.get("Access-Control-Allow-Origin")).toBe("*");
    expect(response.headers.get("Access-Control-Allow-Headers")).toBe(
      "authorization,content-type",
    );
  });
});
