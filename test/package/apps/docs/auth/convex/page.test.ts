import { register } from "@convex-dev/persistent-text-streaming/test";
import { convexTest } from "convex-test";
import { expect, test } from "vitest";
import { api } from "./_generated/api";
import schema from "./schema";

test("only the owner may read, write and stop", async () => {
  const t = convexTest(schema, import.meta.glob("./**/*.ts"));
  register(t);
  const alice = t.withIdentity({ name: "Alice" });
  const streamId = await alice.mutation(api.chat.send, { prompt: "Hi" });
  const post = (who: Pick<typeof t, "fetch">) =>
    who.fetch("/chat", { method: "POST", body: JSON.stringify({ streamId }) });

  for (const stranger of [t, t.withIdentity({ name: "Mallory" })]) {
    expect((await post(stranger)).status).toBe(403);
    for (const getBody of [api.chat.getStreamBody, api.custom.getStreamBody]) {
      await expect(stranger.query(getBody, { streamId })).rejects.toThrow();
    }
    for (const abort of [api.chat.abortStream, api.custom.abortStream]) {
      await expect(stranger.mutation(abort, { streamId })).rejects.toThrow();
    }
  }
  const response = await post(alice);
  const text = await response.text();
  expect(text).toBe("You said: Hi");
  for (const getBody of [api.chat.getStreamBody, api.custom.getStreamBody]) {
    expect(await alice.query(getBody, { streamId })).toMatchObject({ text });
  }
  await alice.mutation(api.custom.abortStream, { streamId });
});
