import { readdirSync, readFileSync } from "node:fs";
import OpenAI from "openai";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { startModel, type Model } from "./model-server.js";
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

  describe("with a tool", () => {
    const QUESTION = "When is high water in Brest?";
    const tools = [
      {
        type: "function" as const,
        function: { name: "tideTable", parameters: {} },
      },
    ];
    const result = {
      port: "Brest",
      tides: [
        { kind: "low", time: "00:10", metres: 1.2 },
        { kind: "high", time: "06:20", metres: 6.9 },
      ],
    };
    type Message = OpenAI.ChatCompletionMessageParam;

    /** What the deltas of a streamed reply add up to, and why it ended. */
    async function streamed(messages: Message[]) {
      const stream = await openai.chat.completions.create({
        model: "demo",
        stream: true,
        messages,
        tools,
      });
      const sum = { reasoning: "", content: "", tool: "", input: "", id: "" };
      let reason: string | null = null;
      for await (const { choices } of stream) {
        const delta = choices[0]
          ?.delta as OpenAI.ChatCompletionChunk.Choice.Delta & {
          reasoning_content?: string;
        };
        const call = delta.tool_calls?.[0];
        sum.reasoning += delta.reasoning_content ?? "";
        sum.content += delta.content ?? "";
        sum.id += call?.id ?? "";
        sum.tool += call?.function?.name ?? "";
        sum.input += call?.function?.arguments ?? "";
        reason = choices[0]?.finish_reason ?? reason;
      }
      return { ...sum, reason };
    }

    test("thinks, then calls it, and answers with its result", async () => {
      const call = await streamed(user(QUESTION));
      expect(call).toMatchObject({
        reasoning: expect.stringContaining("tides at Brest") as string,
        content: "",
        tool: "tideTable",
        input: '{"port":"Brest"}',
        reason: "tool_calls",
      });
      const answer = await streamed([
        ...user(QUESTION),
        {
          role: "assistant",
          content: null,
          tool_calls: [
            {
              id: call.id,
              type: "function",
              function: { name: call.tool, arguments: call.input },
            },
          ],
        },
        {
          role: "tool",
          tool_call_id: call.id,
          content: JSON.stringify(result),
        },
      ]);
      expect(answer.content).toMatch(
        /^The water at Brest .*06:20\*\* \(6\.9 m\)/,
      );
      expect(answer).toMatchObject({ reasoning: "", tool: "", reason: "stop" });
    });
  });

  test("keeps the pace that the model's name asks for", async () => {
    const tokens = tokenize((await read("hello")).join("")).length;
    const start = performance.now();
    await read("hello", "demo@400");
    const seconds = (performance.now() - start) / 1000;
    // A busy machine may make it slower, never faster.
    expect(tokens / seconds).toBeLessThan(420);
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
