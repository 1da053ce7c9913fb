/// <reference types="vite/client" />
import { readStream } from "@convex-dev/persistent-text-streaming/browser";
import {
  fakeModel,
  faultyFetch,
} from "@convex-dev/persistent-text-streaming/fakes";
import { register } from "@convex-dev/persistent-text-streaming/test";
import { convexTest } from "convex-test";
import { afterEach, expect, test, vi } from "vitest";
import { api } from "./_generated/api";
import schema from "./schema";

const modules = import.meta.glob(["./**/*.ts", "./**/*.js", "!./**/*.test.ts"]);

afterEach(() => {
  vi.unstubAllEnvs();
  vi.unstubAllGlobals();
});

test.each([1, 2, 3])(
  "a reply arrives whole, and is written once, through a bad network (seed %i)",
  async (seed) => {
    const reply = "The tide goes out. It comes back in. ".repeat(20);
    const model = vi.fn(fakeModel(reply, { tokenMs: 1 }));
    vi.stubEnv("OPENAI_API_KEY", "none");
    vi.stubGlobal("fetch", model);
    const t = convexTest(schema, modules);
    register(t);
    const alice = t.withIdentity({ name: "Alice" });
    const { streamId } = await alice.mutation(api.chat.sendMessage, {
      prompt: "When is high tide?",
    });

    const app = (url: string | URL | Request, init?: RequestInit) => {
      const { pathname, search } = new URL(url as string);
      return alice.fetch(pathname + search, init);
    };
    const texts = readStream("https://app.test/chat-stream", {
      streamId,
      drive: true,
      fetch: faultyFetch(app, { seed }),
    });
    let text = "";
    for await (const piece of texts) text += piece;

    expect(text).toBe(reply);
    expect(texts.status).toBe("done");
    expect(model).toHaveBeenCalledTimes(1);
  },
  60_000,
);
