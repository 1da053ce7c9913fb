import type { StreamId } from "@convex-dev/persistent-text-streaming";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { api } from "./_generated/api";
import type { Id } from "./_generated/dataModel";
import { stubModel, useApp, type User } from "./setup.testing";

// Knowing an id is not enough. Strangers are refused, the model is not asked, and
// everything that is saved stays as it was.

const app = useApp();

/** One of Alice's messages. */
interface Ids {
  streamId: StreamId;
  conversationId: Id<"conversations">;
  messageId: Id<"userMessages">;
}
let chat: Ids;
let assistant: Ids;
let asked: unknown[];
let before: unknown;

async function send(kind: "chat" | "assistant"): Promise<Ids> {
  const { alice, t } = app;
  const prompt = "A secret";
  const sent = await (kind === "chat"
    ? alice.mutation(api.chat.sendMessage, { prompt })
    : alice.mutation(api.assistant.send, { prompt, ...asAssistant }));
  const last = await t.run(({ db }) =>
    db.query("userMessages").order("desc").first(),
  );
  return { ...sent, messageId: last!._id };
}
const asAssistant = { messageId: "message", generation: "request" } as const;

/** The app's tables, and what the component has saved. */
const saved = async () => [
  await app.t.run(({ db }) => db.query("conversations").collect()),
  await app.t.run(({ db }) => db.query("userMessages").collect()),
  await page(app.alice, chat),
  await page(app.alice, assistant),
];
const page = (user: User, { streamId }: Ids, from?: number) =>
  user.query(api.chat.getStreamBody, { streamId, from });

beforeEach(async () => {
  asked = stubModel();
  chat = await send("chat");
  assistant = await send("assistant");
  before = await saved();
});
afterEach(async () => {
  expect(await saved()).toEqual(before);
  expect(asked).toEqual([]);
});

const post =
  (path: string) =>
  (user: User, { streamId }: { streamId: string }) =>
    answerOf(
      user.fetch(path, { method: "POST", body: JSON.stringify({ streamId }) }),
    );
const get =
  (path: string) =>
  (user: User, { streamId }: { streamId: string }) =>
    answerOf(user.fetch(`${path}?streamId=${streamId}`));
const answerOf = async (response: Promise<Response>) =>
  `${(await response).status} ${await (await response).text()}`;

const routes = {
  "POST /chat-stream": post("/chat-stream"),
  "GET /chat-stream": get("/chat-stream"),
  "POST /assistant": post("/assistant"),
  "GET /assistant": get("/assistant"),
};

type Call = (user: User, ids: Ids) => Promise<unknown>;
/** Calls that throw, or answer 403, if the id belongs to someone else. */
const refused: Record<string, Call> = {
  ...routes,
  "chat.getStreamBody": page,
  "chat.getStreamBody with an offset": (user, ids) => page(user, ids, 0),
  "chat.abortStream": (user, { streamId }) =>
    user.mutation(api.chat.abortStream, { streamId }),
  "chat.retry": (user, { messageId }) =>
    user.mutation(api.chat.retry, { messageId }),
  "chat.sendMessage": (user, { conversationId }) =>
    user.mutation(api.chat.sendMessage, { prompt: "x", conversationId }),
  "assistant.retry": (user, { messageId }) =>
    user.mutation(api.assistant.retry, { messageId }),
  "assistant.send": (user, { conversationId }) =>
    user.mutation(api.assistant.send, {
      ...asAssistant,
      ...{ prompt: "x", conversationId },
    }),
};
/** Calls that do nothing and return nothing if the id belongs to someone else. */
const ineffective: Record<string, Call> = {
  "conversations.list": (user) => user.query(api.conversations.list),
  "conversations.remove": (user, { conversationId }) =>
    user.mutation(api.conversations.remove, { conversationId }),
  "chat.listMessages": (user, { conversationId }) =>
    user.query(api.chat.listMessages, { conversationId }),
  "chat.deleteMessage": (user, { messageId }) =>
    user.mutation(api.chat.deleteMessage, { messageId }),
  "assistant.listTurns": (user, { conversationId }) =>
    user.query(api.assistant.listTurns, { conversationId }),
};

const issuer = "https://auth.test";
test.each([
  ["a user of the same name", { subject: "alice2", issuer, name: "Alice" }],
  [
    "a user of the same subject at another provider",
    { subject: "alice", issuer: "https://evil.test" },
  ],
  ["a user called anonymous", { subject: "anonymous", issuer }],
  ["a user who is not signed in", null],
])("%s who knows every id gets nothing", async (_, identity) => {
  const stranger = identity === null ? app.t : app.t.withIdentity(identity);
  for (const ids of [chat, assistant]) {
    for (const [name, call] of Object.entries(refused)) {
      const answer = await call(stranger, ids).catch(String);
      expect(answer, name).toMatch(/^(403|.*Error).*(not yours|is gone)/s);
    }
    for (const [name, call] of Object.entries(ineffective)) {
      expect((await call(stranger, ids)) ?? [], name).toEqual([]);
    }
  }
});

test.each(Object.entries(routes))(
  "%s finds no stream by the ids of other tables, deleted streams or, to write, the other kind",
  async (name, ask) => {
    const deleted = await send("chat");
    const { conversationId } = deleted;
    await app.alice.mutation(api.conversations.remove, { conversationId });
    await app.t.finishAllScheduledFunctions(vi.runAllTimers);
    const other = name.endsWith("/assistant") ? chat : assistant;
    const ids = [chat.messageId, chat.conversationId, deleted.streamId];
    if (name !== "GET /chat-stream") ids.push(other.streamId);
    for (const streamId of ids) {
      expect(await ask(app.alice, { streamId })).toMatch(/^403/);
    }
    // The fallbacks have written Alice's replies.
    before = await saved();
    asked.length = 0;
  },
);
