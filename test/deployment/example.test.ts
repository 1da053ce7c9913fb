/**
 * The example on a deployment, from outside: with HTTP, Convex's clients and the
 * example's functions. It starts the local stand-in, or runs against CONVEX_URL and
 * CONVEX_SITE_URL. There, MODEL_PORT is the port at which the deployment's
 * OPENAI_BASE_URL expects the fake model. Without it, the deployment asks its own
 * model.
 */
import { ConvexClient, ConvexHttpClient } from "convex/browser";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { api } from "../../example/convex/_generated/api.js";
import { isFinal, type StreamId } from "../../src/client/index.js";
import {
  startDeployment,
  type LocalDeployment,
} from "../local-deployment/deployment.js";
import {
  startModel,
  type Model,
} from "../local-deployment/model/model-server.js";

const { CONVEX_URL, CONVEX_SITE_URL, MODEL_PORT } = process.env;
const hasFakeModel = CONVEX_URL === undefined || MODEL_PORT !== undefined;

let model: Model | undefined;
let local: LocalDeployment | undefined;
let url: string;
let site: string;
let client: ConvexHttpClient;

beforeAll(async () => {
  if (hasFakeModel) {
    const port = Number(MODEL_PORT ?? 0);
    model = await startModel({ port, firstTokenMs: 0, tokensPerSecond: 100 });
  }
  if (CONVEX_URL === undefined) {
    process.env.OPENAI_API_KEY = "none-needed";
    process.env.OPENAI_BASE_URL = model?.baseURL;
    local = await startDeployment({
      functionsDir: "example/convex",
      log: () => {},
    });
  } else if (CONVEX_SITE_URL === undefined) {
    throw new Error("Set CONVEX_SITE_URL as well: the URL of HTTP actions.");
  }
  url = local?.url ?? CONVEX_URL ?? "";
  site = local?.siteUrl ?? CONVEX_SITE_URL ?? "";
  client = new ConvexHttpClient(url);
});
afterAll(async () => {
  await local?.stop();
  await model?.close();
});

const LONG = "Tell me a long story.";
const SHORT = "Say hello, please.";

const send = (prompt: string) =>
  client.mutation(api.chat.sendMessage, { prompt });

async function ask(prompt: string, generation: "request" | "action" | "node") {
  const messageId = crypto.randomUUID();
  const args = { prompt, messageId, generation };
  return (await client.mutation(api.assistant.send, args)).streamId;
}

/** Asks for a reply to be written. */
const post = (streamId: StreamId, path = "/chat-stream", init?: RequestInit) =>
  fetch(site + path, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ streamId }),
    ...init,
  });

/** Reads what is saved of a reply, and what comes. */
const resume = (streamId: StreamId, offset = 0) =>
  fetch(`${site}/assistant?streamId=${streamId}&offset=${offset}`);

const textOf = async (response: Promise<Response>) => (await response).text();

const page = (streamId: StreamId, from = 0) =>
  client.query(api.chat.getStreamBody, { streamId, from });

/** Waits until a reply has this many characters. A busy deployment may take long. */
const hasBegun = (streamId: StreamId, length = 1) =>
  vi.waitUntil(async () => (await page(streamId)).text.length >= length, {
    timeout: 120_000,
  });

/** All of a stream's saved text, page by page, once it has ended. */
async function ended(streamId: StreamId) {
  let text = "";
  for (;;) {
    const read = await page(streamId, text.length);
    const { text: more, status } = read;
    text = text.slice(0, "from" in read ? read.from : 0) + more;
    if (isFinal(status)) return { text, status };
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

test("driver, followers and database have the same text", async () => {
  const { streamId } = await send(SHORT);
  const follower = new ConvexClient(url);
  const states: Awaited<ReturnType<typeof page>>[] = [];
  follower.onUpdate(api.chat.getStreamBody, { streamId, from: 0 }, (state) =>
    states.push(state),
  );
  const text = await textOf(post(streamId));
  expect(text).not.toBe("");
  await vi.waitUntil(() => states.at(-1)?.status === "done", 120_000);
  await follower.close();
  for (const state of states) expect(text.startsWith(state.text)).toBe(true);
  expect(states.at(-1)?.text).toBe(text);
  expect(await ended(streamId)).toEqual({ text, status: "done" });
});

test.each(["OpenAI's SDK", "request", "action", "node"] as const)(
  "stopped in mid-stream, no text that was sent is lost: %s",
  async (where) => {
    const isChat = where === "OpenAI's SDK";
    const streamId = isChat
      ? (await send(LONG)).streamId
      : await ask(LONG, where);
    const drives = isChat || where === "request";
    if (!drives) await hasBegun(streamId);
    const reading = textOf(
      drives
        ? post(streamId, isChat ? "/chat-stream" : "/assistant")
        : resume(streamId),
    );
    await hasBegun(streamId, 300);
    await client.mutation(api.chat.abortStream, { streamId });
    const sent = await reading;
    const { text, status } = await ended(streamId);
    expect(status).toBe("aborted");
    // A follower may have been sent less than is saved.
    expect(drives ? text : text.slice(0, sent.length)).toBe(sent);
  },
);

test("deleted in mid-stream, the response ends, and the text is gone", async () => {
  const { streamId, conversationId } = await send(LONG);
  const reading = textOf(post(streamId));
  await hasBegun(streamId, 300);
  await client.mutation(api.conversations.remove, { conversationId });
  await reading;
  await expect(page(streamId)).rejects.toThrow("This reply is gone");
});

test("no text is lost when a client leaves, at any moment", async () => {
  const moments = [0, 2, 5, 10, 20, 40, 80, 160, 320, 640];
  const whole = await textOf(post((await send(SHORT)).streamId));
  await Promise.all(
    moments.map(async (moment) => {
      const { streamId } = await send(SHORT);
      const signal = AbortSignal.timeout(moment);
      await textOf(post(streamId, "/chat-stream", { signal })).catch(() => {});
      // If the request never arrived, this one writes.
      expect((await post(streamId)).status).toBeOneOf([200, 205]);
      const { text, status } = await ended(streamId);
      expect(status).toBe("done");
      if (hasFakeModel) expect(text).toBe(whole);
    }),
  );
});

test("with two drivers, one writes", async () => {
  const { streamId } = await send(SHORT);
  const responses = await Promise.all([post(streamId), post(streamId)]);
  expect(responses.map(({ status }) => status).sort()).toEqual([200, 205]);
  const texts = await Promise.all(responses.map((each) => each.text()));
  const text = texts.join("");
  expect(await ended(streamId)).toEqual({ text, status: "done" });
  expect((await post(streamId)).status).toBe(205);
});

test("a reply can be read again from any offset, while it is written and after", async () => {
  const streamId = await ask(SHORT, "action");
  await hasBegun(streamId);
  const text = await textOf(resume(streamId));
  expect(await ended(streamId)).toEqual({ text, status: "done" });
  for (const offset of [1, 100, text.length - 1]) {
    expect(await textOf(resume(streamId, offset))).toBe(text.slice(offset));
  }
  expect((await resume(streamId, text.length)).status).toBe(204);
});
