// convex/network.test.ts
import { readStream } from "@convex-dev/persistent-text-streaming/browser";
import {
  fakeModel,
  faultyFetch,
} from "@convex-dev/persistent-text-streaming/fakes";
import { register } from "@convex-dev/persistent-text-streaming/test";
import { convexTest } from "convex-test";
import { expect, test, vi } from "vitest";
import { api } from "./_generated/api";
import schema from "./schema";

test("a reply arrives whole through a bad network", async () => {
  vi.stubEnv("OPENAI_API_KEY", "none");
  vi.stubGlobal("fetch", fakeModel("Hello. How are you?"));
  const t = convexTest(schema, import.meta.glob("./**/*.ts"));
  register(t);
  await t.mutation(api.chat.send, { prompt: "Hi" });
  const [message] = await t.query(api.chat.list);

  const reading = readStream("https://app.test/chat", {
    streamId: message!.streamId,
    drive: true,
    fetch: faultyFetch(
      (url, init) => t.fetch(String(url).replace("https://app.test", ""), init),
      { seed: 7 },
    ),
  });
  let text = "";
  for await (const piece of reading) text += piece;
  expect(text).toBe("Hello. How are you?");
});
