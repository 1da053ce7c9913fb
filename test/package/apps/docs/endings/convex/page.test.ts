import { register } from "@convex-dev/persistent-text-streaming/test";
import { convexTest } from "convex-test";
import { expect, test } from "vitest";
import { api, internal } from "./_generated/api";
import schema from "./schema";

test("onComplete marks the message and gets the writer's result", async () => {
  const t = convexTest(schema, import.meta.glob("./**/*.ts"));
  register(t);
  const streamId = await t.mutation(api.chat.send, { prompt: "Hi" });
  const response = await t.fetch("/chat", {
    method: "POST",
    body: JSON.stringify({ streamId }),
  });
  await response.text();
  const messages = () => t.run((ctx) => ctx.db.query("messages").collect());
  expect(await messages()).toMatchObject([
    { writing: false, tokens: expect.any(Number) as number },
  ]);
  await t.mutation(internal.chat.forget, { streamId });
  expect(await messages()).toEqual([]);
});
