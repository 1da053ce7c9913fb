import { readdirSync, readFileSync } from "node:fs";
import OpenAI from "openai";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { chooseReply } from "./replies.js";
import { startModel, type Model } from "./server.js";
import { tokenize } from "./tokens.js";

const texts = readdirSync(new URL("./texts/", import.meta.url)).map((file) =>
  readFileSync(new URL(`./texts/${file}`, import.meta.url), "utf8"),
);

describe("tokens", () => {
  test("add up to the text, and none of them is half a character", () => {
    for (const text of texts) {
      const tokens = tokenize(text);
      expect(tokens.join("")).toBe(text);
      expect(tokens.filter((token) => token.includes("\uFFFD"))).toEqual([]);
      // Half of a surrogate pair would not survive UTF-8.
      expect(tokens.map((token) => Buffer.from(token).toString())).toEqual(
        tokens,
      );
    }
  });

  test("are about as long as a model's", () => {
    const english = texts.find((text) => text.includes("Alice")) ?? "";
    const average = english.length / tokenize(english).length;
    expect(average).toBeGreaterThan(3);
    expect(average).toBeLessThan(6);
  });
});

describe("the choice of a reply", () => {
  const ask = (content: string, serial = 0) =>
    chooseReply([{ role: "user", content }], serial);

  test("goes by the words of the last prompt", () => {
    expect(ask("Tell me about the tides")).toMatchObject({
      kind: "text",
      text: expect.stringContaining("Bay of Fundy") as string,
    });
    expect(ask("请用中文说说喝茶")).toMatchObject({
      text: expect.stringContaining("盖碗") as string,
    });
  });

  test("takes turns when no word is known", () => {
    const first = ask("Well?", 0);
    const second = ask("Well?", 1);
    expect(first).not.toEqual(second);
  });

  test("can break and can refuse", () => {
    expect(ask("Write some code and fail half way").kind).toBe("broken");
    expect(ask("Please refuse this").kind).toBe("refusal");
  });

  test("shows that it was given the history", () => {
    const reply = chooseReply(
      [
        { role: "user", content: "First thing" },
        { role: "assistant", content: "Yes." },
        { role: "user", content: "What did I say?" },
      ],
      0,
    );
    expect(reply).toMatchObject({
      text: expect.stringContaining("1. First thing") as string,
    });
  });
});

describe("the endpoint, asked with OpenAI's library", () => {
  let model: Model;
  let openai: OpenAI;
  const user = (content: string) => [{ role: "user" as const, content }];

  beforeEach(async () => {
    model = await startModel({ firstTokenMs: 0, tokensPerSecond: 20_000 });
    openai = new OpenAI({
      apiKey: "any",
      baseURL: model.baseURL,
      maxRetries: 0,
    });
  });
  afterEach(() => model.close());

  async function read(prompt: string, name = "demo") {
    const stream = await openai.chat.completions.create({
      model: name,
      stream: true,
      messages: user(prompt),
    });
    const deltas: string[] = [];
    for await (const chunk of stream) {
      const content = chunk.choices[0]?.delta.content;
      if (content) deltas.push(content);
    }
    return deltas;
  }

  test("streams a text, one token at a time", async () => {
    const deltas = await read("Bake bread");
    expect(deltas.join("")).toContain("# A plain loaf");
    expect(deltas).toEqual(tokenize(deltas.join("")));
  });

  test("gives the same text whole", async () => {
    const whole = await openai.chat.completions.create({
      model: "demo",
      messages: user("Bake bread"),
    });
    expect(whole.choices[0]?.message.content).toBe(
      (await read("Bake bread")).join(""),
    );
  });

  test("breaks half way with an error", async () => {
    const text = (await read("Bake bread")).join("");
    let got = "";
    const stream = await openai.chat.completions.create({
      model: "demo",
      stream: true,
      messages: user("Bake bread, and fail half way"),
    });
    await expect(async () => {
      for await (const chunk of stream) {
        got += chunk.choices[0]?.delta.content ?? "";
      }
    }).rejects.toThrow("broke off half way");
    expect(text.startsWith(got)).toBe(true);
    expect(got.length).toBeGreaterThan(text.length / 4);
    expect(got.length).toBeLessThan(text.length);
  });

  test("refuses with a 400", async () => {
    await expect(read("Refuse to answer")).rejects.toMatchObject({
      status: 400,
    });
  });

  test("lists its model", async () => {
    const models = await openai.models.list();
    expect(models.data.map(({ id }) => id)).toEqual(["demo"]);
  });

  test("keeps the pace that the model's name asks for", async () => {
    const tokens = tokenize((await read("hello")).join("")).length;
    const start = performance.now();
    await read("hello", "demo@400");
    const seconds = (performance.now() - start) / 1000;
    // A busy machine may make it slower, never faster.
    expect(tokens / seconds).toBeLessThan(420);
  });

  test("takes a new pace for all replies", async () => {
    const url = new URL("/pace", model.baseURL);
    const answer = await fetch(url, {
      method: "POST",
      body: JSON.stringify({ tokensPerSecond: 300 }),
    });
    expect(await answer.json()).toEqual({ tokensPerSecond: 300 });
    expect(await (await fetch(url)).json()).toEqual({ tokensPerSecond: 300 });
    const wrong = await fetch(url, {
      method: "POST",
      body: JSON.stringify({ tokensPerSecond: -1 }),
    });
    expect(wrong.status).toBe(400);
  });

  test("stops when the client disconnects", async () => {
    const stream = await openai.chat.completions.create({
      model: "demo@10",
      stream: true,
      messages: user("A long story"),
    });
    for await (const chunk of stream) {
      if (chunk.choices[0]?.delta.content) break; // which hangs up
    }
    // The rest would take minutes.
    await vi.waitFor(() => expect(model.writing()).toBe(0));
  });
});
