// convex/chat.test.ts
import { fakeModel } from "@convex-dev/persistent-text-streaming/fakes";
import { register } from "@convex-dev/persistent-text-streaming/test";
import { convexTest } from "convex-test";
import { expect, test, vi } from "vitest";
import { api } from "./_generated/api";
import schema from "./schema";

test("a reply is written once and saved", async () => {
  vi.stubEnv("OPENAI_API_KEY", "none");
  vi.stubGlobal("fetch", fakeModel("Hello. How are you?"));
  const t = convexTest(schema, import.meta.glob("./**/*.ts"));
  register(t);

  await t.mutation(api.chat.send, { prompt: "Hi" });
  const [message] = await t.query(api.chat.list);
  const streamId = message!.streamId;
  const post = () =>
    t.fetch("/chat", { method: "POST", body: JSON.stringify({ streamId }) });
  const response = await post();
  const text = await response.text(); // The text is saved once this resolves.

  expect(text).toBe("Hello. How are you?");
  expect(await t.query(api.chat.getStreamBody, { streamId })).toMatchObject({
    text,
    status: "done",
  });
  expect((await post()).status).toBe(205);
});
