import OpenAI from "openai";
import { describe, expect, test } from "vitest";
import { faultyFetch, fakeModel, type FetchFunction } from "./index.js";

const reply = "Ein Satz. 还有一句话。 And 😀.";
const client = (fetch: FetchFunction) =>
  new OpenAI({ apiKey: "none", fetch, maxRetries: 0 });
const ask = {
  model: "any",
  messages: [{ role: "user" as const, content: "Hi" }],
};

async function streamed(fetch: FetchFunction): Promise<string> {
  const chunks = await client(fetch).chat.completions.create({
    ...ask,
    stream: true,
  });
  let text = "";
  for await (const { choices } of chunks)
    text += choices[0]?.delta.content ?? "";
  return text;
}

describe("fakeModel", () => {
  test("answers OpenAI's client, whole and token by token", async () => {
    const fetch = fakeModel(reply, { tokenChars: 1 });
    const whole = await client(fetch).chat.completions.create(ask);
    expect(whole.choices[0]?.message.content).toBe(reply);
    expect(await streamed(fetch)).toBe(reply);
  });

  test.each([
    ["refuses", { status: 429 }, "429"],
    ["breaks off", { failAfterTokens: 2 }, "terminated"],
  ])("%s", async (_, options, error) => {
    await expect(streamed(fakeModel(reply, options))).rejects.toThrow(error);
  });

  test("stops when the request is aborted", async () => {
    const fetch = fakeModel(reply, { firstTokenMs: 60_000 });
    const controller = new AbortController();
    const stream = await client(fetch).chat.completions.create(
      { ...ask, stream: true },
      { signal: controller.signal },
    );
    controller.abort();
    // OpenAI's client ends its iteration quietly.
    for await (const chunk of stream) expect.unreachable(chunk.id);
  });
});

describe("faultyFetch", () => {
  const server: FetchFunction = () =>
    Promise.resolve(new Response("x".repeat(5000)));
  const outcomes = async (options: Parameters<typeof faultyFetch>[1]) => {
    const fetch = faultyFetch(server, { maxDelayMs: 0, ...options });
    const seen: string[] = [];
    for (let i = 0; i < 30; i++) {
      const response = await fetch("https://app.test").catch(() => null);
      const text = await response?.text().catch(() => null);
      if (response === null) seen.push("lost");
      else
        seen.push(text == null ? "cut" : `${response.status} ${text.length}`);
    }
    return seen;
  };

  test("the same seed gives the same faults, of every kind", async () => {
    const first = await outcomes({ seed: 7 });
    expect(await outcomes({ seed: 7 })).toEqual(first);
    expect(await outcomes({ seed: 8 })).not.toEqual(first);
    expect(new Set(first)).toEqual(
      new Set(["200 5000", "503 31", "cut", "lost"]),
    );
  });

  test.each([
    ["lose", "lost"],
    ["refuse", "503 31"],
    ["cut", "cut"],
    ["buffer", "200 5000"],
  ])("with { %s: 1 } that is all that happens", async (fault, outcome) => {
    const none = { lose: 0, refuse: 0, cut: 0, buffer: 0, delay: 0 };
    expect(new Set(await outcomes({ seed: 1, ...none, [fault]: 1 }))).toEqual(
      new Set([outcome]),
    );
  });

  test.each([
    [undefined, { seed: 1 }, "faultyFetch(fetch, { seed })"],
    [server, {}, "faultyFetch(fetch, { seed })"],
    [server, { seed: 1, cut: "often" }, "The option cut of faultyFetch()"],
  ])("bad input gets a sentence (%#)", (fetch, options, sentence) => {
    expect(() => faultyFetch(fetch as never, options as never)).toThrow(
      sentence,
    );
  });
});
