import type { StreamId } from "@convex-dev/persistent-text-streaming";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { withLimits } from "../../test/support/with-limits";
import { api } from "./_generated/api";
import type { Id } from "./_generated/dataModel";
import { stubModel, useApp, type User } from "./setup.testing";

// Strangers and broken clients can do nothing: each request gets a 4xx or an error,
// the model is not asked, and everything that is saved stays as it was.

const app = useApp(withLimits);

let alice: User;
let streamId: StreamId;
let conversationId: Id<"conversations">;
let messageId: Id<"userMessages">;
let assistant: { streamId: StreamId; conversationId: string };
let before: unknown;
let asked: unknown[];

const issuer = "https://auth.test";
const strangers = {
  "another user": { subject: "mallory", issuer },
  "a user of the same name": { subject: "alice2", issuer, name: "Alice" },
  "a user of the same subject at another provider": {
    subject: "alice",
    issuer: "https://evil.test",
  },
  "a user called anonymous": { subject: "anonymous", issuer },
  "a user who is not signed in": null,
};

const saved = () =>
  app.t.run(async (ctx) => ({
    conversations: await ctx.db.query("conversations").collect(),
    messages: await ctx.db.query("userMessages").collect(),
  }));
const savedByComponent = () =>
  (
    app.t as unknown as {
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
  asked = stubModel();
  ({ alice } = app);
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
  expect(asked).toEqual([]);
});

const post = (user: User, path: string, body: unknown, headers = {}) =>
  user.fetch(path, { method: "POST", body: JSON.stringify(body), headers });

/** Every endpoint, asked for a stream. */
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
  "%s who knows every id",
  (_, identity) => {
    const stranger = () =>
      identity === null ? app.t : app.t.withIdentity(identity);

    test.each(endpointNames)("gets nothing from %s", async (name) => {
      for (const id of [streamId, assistant.streamId, messageId]) {
        const response = await endpoints[name](stranger(), id);
        expect(response.status).toBe(403);
        const text = await response.text();
        expect(text).toContain("gone, or is not yours");
        expect(text).not.toContain("secret");
      }
    });

    test("gets nothing from the queries", async () => {
      const user = stranger();
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

    test("changes nothing with the mutations", async () => {
      const user = stranger();
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

  test("finds no stream by the ids of other tables, deleted streams or the other kind", async () => {
    const kind = name.endsWith("/assistant") ? streamId : assistant.streamId;
    const other = await alice.mutation(api.chat.sendMessage, { prompt: "x" });
    await alice.mutation(api.conversations.remove, {
      conversationId: other.conversationId,
    });
    await app.t.finishAllScheduledFunctions(vi.runAllTimers);
    for (const id of [messageId, conversationId, other.streamId, kind]) {
      expect((await endpoints[name](alice, id)).status).toBe(403);
    }
    // The fallbacks have written Alice's replies.
    before = await all();
    asked.length = 0;
  });
});

describe.each(["/chat-stream", "/assistant"])("POST %s", (path) => {
  test("ignores headers of a megabyte, and the user they claim to be", async () => {
    const headers = {
      "X-Large": "x".repeat(1_000_000),
      "X-Forwarded-User": "alice",
      Cookie: "user=alice",
    };
    const response = await post(app.t, path, { streamId }, headers);
    expect(response.status).toBe(403);
  });
});
