import { register } from "@convex-dev/persistent-text-streaming/test";
import { convexTest } from "convex-test";
import { expect, test, vi } from "vitest";
import { api, internal } from "./_generated/api";
import schema from "./schema";

test("a scheduled action writes the reply; a job that takes over continues it", async () => {
  const t = convexTest(schema, import.meta.glob("./**/*.ts"));
  register(t);
  const streamId = await t.mutation(api.background.send, { prompt: "hi" });
  const body = () => t.query(api.chat.getStreamBody, { streamId });
  await vi.waitFor(async () =>
    expect(await body()).toMatchObject({
      text: "You said: hi",
      status: "done",
    }),
  );

  const fresh = await t.mutation(api.net.send, { prompt: "hi" });
  await t.action(internal.retried.chapter, { streamId: fresh });
  expect(
    await t.query(api.chat.getStreamBody, { streamId: fresh }),
  ).toMatchObject({ text: "Once upon a time.", status: "done" });
});
