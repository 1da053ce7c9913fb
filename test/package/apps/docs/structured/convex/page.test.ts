import { register } from "@convex-dev/persistent-text-streaming/test";
import { convexTest } from "convex-test";
import { expect, test } from "vitest";
import { replyEvent } from "../src/events";
import { api } from "./_generated/api";
import schema from "./schema";

test("the text is lines that the schema accepts", async () => {
  const t = convexTest(schema, import.meta.glob("./**/*.ts"));
  register(t);
  const streamId = await t.mutation(api.chat.send, { prompt: "cats" });
  const response = await t.fetch("/chat", {
    method: "POST",
    body: JSON.stringify({ streamId }),
  });
  const lines = (await response.text()).trim().split("\n");
  const events = lines.map((line) => replyEvent.parse(JSON.parse(line)));
  expect(events.map(({ type }) => type)).toEqual([
    "reasoning",
    "reasoning",
    "tool",
    "text",
  ]);
});
