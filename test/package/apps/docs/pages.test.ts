/** What the documents promise of their apps, where compiling does not show it. */
/// <reference types="vite/client" />
import { register as registerRetrier } from "@convex-dev/action-retrier/test";
import type { StreamId } from "@convex-dev/persistent-text-streaming";
import { register } from "@convex-dev/persistent-text-streaming/test";
import { convexTest } from "convex-test";
import { describe, expect, onTestFinished, test, vi } from "vitest";
import * as auth from "./auth/convex/_generated/api";
import authSchema from "./auth/convex/schema";
import * as background from "./background/convex/_generated/api";
import * as endings from "./endings/convex/_generated/api";
import schema from "./shared/schema";

const posting = (streamId: StreamId) => ({
  method: "POST",
  body: JSON.stringify({ streamId }),
});

test("auth: only the owner may read, write and stop", async () => {
  const { api } = auth;
  const t = convexTest(authSchema, import.meta.glob("./auth/convex/**/*.ts"));
  register(t);
  const alice = t.withIdentity({ name: "Alice" });
  const streamId = await alice.mutation(api.chat.send, { prompt: "Hi" });
  for (const stranger of [t, t.withIdentity({ name: "Mallory" })]) {
    const response = await stranger.fetch("/chat", posting(streamId));
    expect(response.status).toBe(403);
    await expect(
      stranger.query(api.chat.getStreamBody, { streamId }),
    ).rejects.toThrow();
    await expect(
      stranger.mutation(api.chat.abortStream, { streamId }),
    ).rejects.toThrow();
  }
  const text = await (await alice.fetch("/chat", posting(streamId))).text();
  expect(text).toBe("You said: Hi");
  const body = await alice.query(api.chat.getStreamBody, { streamId });
  expect(body).toMatchObject({ text });
  await alice.mutation(api.chat.abortStream, { streamId });
});

test("endings: onComplete marks the message and gets the writer's result", async () => {
  const { api, internal } = endings;
  const t = convexTest(schema, import.meta.glob("./endings/convex/**/*.ts"));
  register(t);
  const streamId = await t.mutation(api.chat.send, { prompt: "Hi" });
  await (await t.fetch("/chat", posting(streamId))).text();
  const messages = () => t.run((ctx) => ctx.db.query("messages").collect());
  expect(await messages()).toMatchObject([{ writing: false, tokens: 3 }]);
  await t.mutation(internal.chat.forget, { streamId });
  expect(await messages()).toEqual([]);
});

describe("background:", () => {
  const { api, internal } = background;
  function setUp() {
    const modules = import.meta.glob("./background/convex/**/*.ts");
    const t = convexTest(schema, modules);
    register(t);
    registerRetrier(t);
    const becomes = (streamId: StreamId, text: string) =>
      vi.waitFor(async () => {
        const body = await t.query(api.chat.getStreamBody, { streamId });
        expect(body).toMatchObject({ text, status: "done" });
      });
    return { t, becomes };
  }

  test.each([
    ["a scheduled action", api.background.send, "You said: hi"],
    ["a job of the retrier", api.retried.send, "Once upon a time."],
  ])("%s writes the reply", async (_, send, text) => {
    const { t, becomes } = setUp();
    await becomes(await t.mutation(send, { prompt: "hi" }), text);
  });

  test("the fallback writes what no request has written, and is canceled otherwise", async () => {
    vi.useFakeTimers({ toFake: ["setTimeout"], shouldAdvanceTime: true });
    onTestFinished(() => void vi.useRealTimers());
    const { t, becomes } = setUp();
    const written = await t.mutation(api.net.send, { prompt: "hi" });
    await t.action(internal.background.answer, { streamId: written });
    const streamId = await t.mutation(api.net.send, { prompt: "hi" });
    await vi.advanceTimersByTimeAsync(5_000);
    await becomes(streamId, "You said: hi");
    const jobs = () =>
      t.run(({ db }) => db.system.query("_scheduled_functions").collect());
    await vi.waitFor(async () => {
      const states = (await jobs()).map(({ state }) => state.kind);
      expect(states).toEqual(["canceled", "success"]);
    });
  });
});
