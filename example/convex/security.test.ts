/// <reference types="vite/client" />
import type { StreamId } from "@convex-dev/persistent-text-streaming";
import { register } from "@convex-dev/persistent-text-streaming/test";
import { convexTest, type TestConvex } from "convex-test";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { withLimits } from "../../test/support/with-limits";
import { api } from "./_generated/api";
import type { Id } from "./_generated/dataModel";
import schema from "./schema";

// What strangers and broken clients can do: nothing. Whatever they send, the
// answer is a 4xx or an error, and all that is saved is as it was.

const modules = import.meta.glob(["./**/*.ts", "./**/*.js", "!./**/*.test.ts"]);

type App = TestConvex<typeof schema>;
type User = Pick<
  ReturnType<App["withIdentity"]>,
  "query" | "mutation" | "fetch"
>;

let t: App;
let alice: User;
let streamId: StreamId;
let conversationId: Id<"conversations">;
let messageId: Id<"userMessages">;
let assistant: { streamId: StreamId; conversationId: string };
let before: unknown;

const issuer = "https://auth.test";
/** Those who are not Alice. */
const strangers: Record<string, (app: App) => User> = {
  "another user": (app) => app.withIdentity({ subject: "mallory", issuer }),
  "a user of the same name": (app) =>
    app.withIdentity({ subject: "alice2", issuer, name: "Alice" }),
  "a user of the same subject at another provider": (app) =>
    app.withIdentity({ subject: "alice", issuer: "https://evil.test" }),
  "a user called anonymous": (app) =>
    app.withIdentity({ subject: "anonymous", issuer }),
  "somebody without an identity": (app) => app,
};

const saved = () =>
  t.run(async (ctx) => ({
    conversations: await ctx.db.query("conversations").collect(),
    messages: await ctx.db.query("userMessages").collect(),
  }));
const savedByComponent = () =>
  (
    t as unknown as {
      runInComponent: (
        path: string,
        run: (ctx: {
          db: { query: (table: string) => { collect: () => Promise<unknown> } };
        }) => Promise<unknown>,
      ) => Promise<unknown>;
    }
  ).runInComponent("persistentTextStreaming", async ({ db }) => ({
    streams: await db.query("streams").collect(),
    chunks: await db.query("chunks").collect(),
  }));
const all = async () => [await saved(), await savedByComponent()];

beforeEach(async () => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "Date"] });
  vi.stubEnv("OPENAI_API_KEY", "test");
  vi.stubGlobal("fetch", () => expect.unreachable("The model is not asked."));
  t = withLimits(convexTest({ schema, modules, transactionLimits: true }));
  register(t);
  alice = t.withIdentity({ subject: "alice", issuer, name: "Alice" });
  ({ streamId, conversationId } = await alice.mutation(api.chat.sendMessage, {
    prompt: "A secret",
  }));
  const messages = await alice.query(api.chat.listMessages, { conversationId });
  messageId = messages![0]!._id;
  assistant = await alice.mutation(api.assistant.send, {
    prompt: "Another",
    messageId: "message-1",
    generation: "request",
  });
  before = await all();
});

afterEach(async () => {
  expect(await all()).toEqual(before);
  vi.useRealTimers();
  vi.unstubAllEnvs();
  vi.unstubAllGlobals();
});

const post = (user: User, path: string, body: unknown, headers = {}) =>
  user.fetch(path, { method: "POST", body: JSON.stringify(body), headers });

/** Every endpoint, as it is asked for a stream. */
const endpoints = {
  "POST /chat-stream": (user: User, id: string) =>
    post(user, "/chat-stream", { streamId: id }),
  "POST /assistant": (user: User, id: string) =>
    post(user, "/assistant", { streamId: id }),
  "GET /assistant": (user: User, id: string) =>
    user.fetch(
      `/assistant?${new URLSearchParams({ streamId: id }).toString()}`,
    ),
};
type Endpoint = keyof typeof endpoints;
const endpointNames = Object.keys(endpoints) as Endpoint[];

describe.each(Object.entries(strangers))(
  "%s, who knows every id,",
  (_, who) => {
    test.each(endpointNames)("gets nothing of %s", async (name) => {
      for (const id of [streamId, assistant.streamId, messageId]) {
        const response = await endpoints[name](who(t), id);
        expect(response.status).toBe(403);
        const text = await response.text();
        expect(text).toContain("gone, or is not yours");
        expect(text).not.toContain("secret");
      }
    });

    test("gets nothing of the queries", async () => {
      const user = who(t);
      for (const id of [streamId, assistant.streamId]) {
        for (const from of [undefined, 0]) {
          await expect(
            user.query(api.chat.getStreamBody, { streamId: id, from }),
          ).rejects.toThrow("gone, or is not yours");
        }
      }
      expect(await user.query(api.conversations.list)).toEqual([]);
      for (const id of [conversationId, assistant.conversationId]) {
        expect(
          await user.query(api.chat.listMessages, { conversationId: id }),
        ).toBeNull();
        expect(
          await user.query(api.assistant.listTurns, { conversationId: id }),
        ).toBeNull();
      }
    });

    test("changes nothing by the mutations", async () => {
      const user = who(t);
      for (const id of [streamId, assistant.streamId]) {
        await expect(
          user.mutation(api.chat.abortStream, { streamId: id }),
        ).rejects.toThrow("gone, or is not yours");
      }
      await user.mutation(api.chat.deleteMessage, { messageId });
      await expect(
        user.mutation(api.chat.retry, { messageId }),
      ).rejects.toThrow();
      for (const id of [conversationId, assistant.conversationId]) {
        await user.mutation(api.conversations.remove, { conversationId: id });
        await expect(
          user.mutation(api.chat.sendMessage, {
            prompt: "x",
            conversationId: id,
          }),
        ).rejects.toThrow("not yours");
        await expect(
          user.mutation(api.assistant.send, {
            prompt: "x",
            messageId: "message-2",
            conversationId: id,
            generation: "request",
          }),
        ).rejects.toThrow("not yours");
      }
    });
  },
);

describe.each(endpointNames)("%s", (name) => {
  test.each([
    ["an empty string", ""],
    ["a foreign string", "nonsense"],
    ["a zero byte", "\0"],
    ["half a character", "\ud83d"],
    ["an operator", '{"$ne":null}'],
    ["a path", "../../streams"],
    ["1 MB", "x".repeat(1_000_000)],
  ])("finds no stream named by %s", async (_, id) => {
    const response = await endpoints[name](alice, id);
    expect([403, 404]).toContain(response.status);
    expect((await response.text()).length).toBeLessThan(300);
  });

  test("finds no stream by the ids of other tables, or of deleted streams", async () => {
    const other = await alice.mutation(api.chat.sendMessage, { prompt: "x" });
    await alice.mutation(api.conversations.remove, {
      conversationId: other.conversationId,
    });
    await t.finishAllScheduledFunctions(vi.runAllTimers);
    for (const id of [messageId, conversationId, other.streamId]) {
      expect((await endpoints[name](alice, id)).status).toBe(403);
    }
    before = await all();
  });
});

describe.each(["/chat-stream", "/assistant"])("POST %s", (path) => {
  test("ignores headers of a megabyte, and whoever they claim to be", async () => {
    const headers = {
      "X-Large": "x".repeat(1_000_000),
      "X-Forwarded-User": "alice",
      Cookie: "user=alice",
    };
    const response = await post(t, path, { streamId }, headers);
    expect(response.status).toBe(403);
  });
});
