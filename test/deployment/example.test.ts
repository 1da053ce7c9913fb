/**
 * The example on a deployment, from outside: with HTTP, Convex's clients and the
 * example's functions. It starts the local stand-in, or runs against CONVEX_URL and
 * CONVEX_SITE_URL. There, MODEL_PORT is the port at which the deployment's
 * OPENAI_BASE_URL expects the fake model. Without it, the deployment asks its own
 * model, and tests that need the fake one are skipped.
 */
import { ConvexClient, ConvexHttpClient } from "convex/browser";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
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
    model = await startModel({
      port: Number(MODEL_PORT ?? 0),
      firstTokenMs: 0,
    });
  }
  if (CONVEX_URL === undefined) {
    process.env.OPENAI_API_KEY = "none-needed";
    process.env.OPENAI_BASE_URL = model?.baseURL;
    local = await startDeployment({
      functionsDir: folder("example/convex"),
      components: { persistentTextStreaming: folder("src/component") },
      log: () => {},
    });
  } else if (CONVEX_SITE_URL === undefined) {
    throw new Error("Set CONVEX_SITE_URL as well: the URL of HTTP actions.");
  }
  url = local?.url ?? CONVEX_URL ?? "";
  site = local?.siteUrl ?? CONVEX_SITE_URL ?? "";
  client = new ConvexHttpClient(url);
  await pace(300);
});
afterAll(async () => {
  await local?.stop();
  await model?.close();
});

const folder = (path: string) =>
  fileURLToPath(new URL(`../../${path}`, import.meta.url));

async function pace(tokensPerSecond: number) {
  if (model === undefined) return;
  await fetch(new URL("/pace", model.baseURL), {
    method: "POST",
    body: JSON.stringify({ tokensPerSecond }),
  });
}

const send = async (prompt: string) =>
  (await client.mutation(api.chat.sendMessage, { prompt })).streamId;

async function ask(prompt: string, generation: "request" | "action" | "node") {
  const messageId = crypto.randomUUID();
  const args = { prompt, messageId, generation };
  return (await client.mutation(api.assistant.send, args)).streamId;
}

const stop = (streamId: StreamId) =>
  client.mutation(api.chat.abortStream, { streamId });

const post = (
  streamId: StreamId,
  path = "/chat-stream",
  signal?: AbortSignal,
) =>
  fetch(site + path, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ streamId }),
    signal: signal ?? null,
  });

const page = (streamId: StreamId, from = 0) =>
  client.query(api.chat.getStreamBody, { streamId, from });

const hasText = async (streamId: StreamId) =>
  (await page(streamId)).text !== "";

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

/** The text of a response, so far and in the end. */
function reading(response: Response) {
  const seen = { text: "" };
  const whole = (async () => {
    const decoder = new TextDecoder();
    for await (const bytes of response.body ?? []) {
      seen.text += decoder.decode(bytes, { stream: true });
    }
    return seen.text;
  })();
  return { seen, whole };
}

/** A condition may take long on a busy deployment. */
const until = (condition: () => boolean | Promise<boolean>) =>
  vi.waitUntil(condition, { timeout: 120_000 });

const LONG = "Tell me a long story.";
const SHORT = "Say hello, please.";

test("driver, followers and database have the same text", async () => {
  const streamId = await send(SHORT);
  const follower = new ConvexClient(url);
  const states: Awaited<ReturnType<typeof page>>[] = [];
  follower.onUpdate(api.chat.getStreamBody, { streamId, from: 0 }, (state) =>
    states.push(state),
  );
  const text = await (await post(streamId)).text();
  expect(text).not.toBe("");
  await until(() => states.at(-1)?.status === "done");
  await follower.close();
  for (const state of states) expect(text.startsWith(state.text)).toBe(true);
  expect(states.at(-1)?.text).toBe(text);
  expect(await ended(streamId)).toEqual({ text, status: "done" });
});

describe("stopped in mid-stream, no text that was shown is lost:", () => {
  beforeAll(() => pace(60));
  afterAll(() => pace(300));

  test("OpenAI's SDK", async () => {
    const streamId = await send(LONG);
    const { seen, whole } = reading(await post(streamId));
    await until(() => seen.text.length > 300);
    await stop(streamId);
    const text = await whole;
    expect(await ended(streamId)).toEqual({ text, status: "aborted" });
  });

  test.each(["request", "action", "node"] as const)(
    "the AI SDK, in a %s",
    async (where) => {
      const streamId = await ask(LONG, where);
      const isRequest = where === "request";
      if (!isRequest) await until(() => hasText(streamId));
      const { seen, whole } = reading(
        isRequest
          ? await post(streamId, "/assistant")
          : await fetch(`${site}/assistant?streamId=${streamId}`),
      );
      await until(() => seen.text.length > 300);
      await stop(streamId);
      const text = await whole;
      const saved = await ended(streamId);
      expect(saved.status).toBe("aborted");
      expect(saved.text.startsWith(text)).toBe(true);
      if (isRequest) expect(saved.text).toBe(text);
    },
  );
});

test("deleted in mid-stream, the response ends, and the text is gone", async () => {
  const sent = await client.mutation(api.chat.sendMessage, { prompt: LONG });
  const { streamId, conversationId } = sent;
  const { seen, whole } = reading(await post(streamId));
  await until(() => seen.text.length > 300);
  await client.mutation(api.conversations.remove, { conversationId });
  await whole;
  await expect(page(streamId)).rejects.toThrow("This reply is gone");
});

test("no text is lost when a client leaves, at any moment", async () => {
  const moments = [0, 2, 5, 10, 20, 40, 80, 160, 320, 640];
  const whole = await (await post(await send(SHORT))).text();
  await Promise.all(
    moments.map(async (moment) => {
      const streamId = await send(SHORT);
      const leaving = new AbortController();
      setTimeout(() => leaving.abort(), moment);
      await post(streamId, "/chat-stream", leaving.signal)
        .then((response) => response.text())
        .catch(() => {});
      // If the request never arrived, this one writes.
      expect((await post(streamId)).status).toBeOneOf([200, 205]);
      const saved = await ended(streamId);
      expect(saved.status).toBe("done");
      if (hasFakeModel) expect(saved.text).toBe(whole);
    }),
  );
});

test("with two drivers, one writes", async () => {
  const streamId = await send(SHORT);
  const responses = await Promise.all([post(streamId), post(streamId)]);
  expect(responses.map(({ status }) => status).sort()).toEqual([200, 205]);
  const texts = await Promise.all(responses.map((each) => each.text()));
  const text = texts.join("");
  expect(await ended(streamId)).toEqual({ text, status: "done" });
  expect((await post(streamId)).status).toBe(205);
});

test("a reply can be read again from any offset, while it is written and after", async () => {
  const streamId = await ask(SHORT, "action");
  const resume = (offset: number) =>
    fetch(`${site}/assistant?streamId=${streamId}&offset=${offset}`);
  await until(() => hasText(streamId));
  const text = await (await resume(0)).text();
  expect(await ended(streamId)).toEqual({ text, status: "done" });
  for (const offset of [1, 100, text.length - 1]) {
    expect(await (await resume(offset)).text()).toBe(text.slice(offset));
  }
  expect((await resume(text.length)).status).toBe(204);
});

test("fifty streams at once", async () => {
  const texts = await Promise.all(
    Array.from({ length: 50 }, async () => {
      const streamId = await send(SHORT);
      // A busy deployment answers 503.
      let response = await post(streamId);
      while (response.status === 503) response = await post(streamId);
      const text = await response.text();
      expect(await ended(streamId)).toEqual({ text, status: "done" });
      return text;
    }),
  );
  expect(texts).not.toContain("");
});

describe.runIf(hasFakeModel)("with the fake model:", () => {
  test.each([
    ...["Fail", "Overload", "Cut", "End", "Talk rubbish"],
    ...["Mind the length", "Mind the filter"],
  ])("%s half way: an error, with the text so far", async (what) => {
    const streamId = await send(`${what} half way, please.`);
    const text = await (await post(streamId)).text();
    expect(text).not.toBe("");
    expect(await ended(streamId)).toEqual({ text, status: "error" });
  });
});
