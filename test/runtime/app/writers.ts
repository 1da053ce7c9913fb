/*
 * Writers as apps write them, each with its own SDK. A writer stops when its signal
 * fires, and does not guard against anything.
 */
import "../runtime-globals.js";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import Anthropic from "@anthropic-ai/sdk";
import { streamText } from "ai";
import OpenAI from "openai";
import OpenAINewest from "openai-newest";
import type { BackgroundWriter } from "../../../src/client/index.js";
import { Invocation } from "../../local-deployment/invocation.js";

const baseURL = () => process.env.OPENAI_BASE_URL!;
const user = { role: "user" as const, content: "A long story, please." };

async function* openai(Client: typeof OpenAI, signal: AbortSignal) {
  const client = new Client({ apiKey: "-", baseURL: baseURL() });
  const completion = await client.chat.completions.create(
    { model: "demo", stream: true, messages: [user] },
    { signal },
  );
  for await (const chunk of completion) {
    yield chunk.choices[0]?.delta.content ?? "";
  }
}

const ai = (signal: AbortSignal) =>
  streamText({
    model: createOpenAICompatible({ name: "demo", baseURL: baseURL() })("demo"),
    messages: [user],
    abortSignal: signal,
    onError: () => {},
  });

/** Appends without end, and leaves the signal alone. */
async function prattle(append: (text: string) => Promise<void>) {
  for (let i = 0; ; i++) {
    await append(`${i} `);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

export const writers: Record<string, BackgroundWriter> = {
  short: async function* () {
    yield "Short ";
    await new Promise((resolve) => setTimeout(resolve, 1000));
    yield "to the end.";
  },
  "openai 7": (_append, signal) =>
    openai(OpenAINewest as unknown as typeof OpenAI, signal),
  "openai 6": (_append, signal) => openai(OpenAI, signal),
  "openai 6, append": async (append, signal) => {
    for await (const text of openai(OpenAI, signal)) await append(text);
  },
  "openai 6, stream()": async function* (_append, signal) {
    const client = new OpenAI({ apiKey: "-", baseURL: baseURL() });
    const stream = client.chat.completions.stream(
      { model: "demo", messages: [user] },
      { signal },
    );
    for await (const chunk of stream) {
      yield chunk.choices[0]?.delta.content ?? "";
    }
  },
  "anthropic 1, stream()": async function* (_append, signal) {
    const url = baseURL().replace("/v1", "");
    const events = new Anthropic({
      apiKey: "-",
      baseURL: url,
    }).messages.stream(
      { model: "demo", max_tokens: 1000, messages: [user] },
      { signal },
    );
    for await (const event of events) {
      if (event.type !== "content_block_delta") continue;
      if (event.delta.type === "text_delta") yield event.delta.text;
    }
  },
  "ai 6, textStream": (_append, signal) => ai(signal).textStream,
  "ai 6, fullStream": async function* (_append, signal) {
    for await (const part of ai(signal).fullStream) {
      if (part.type === "text-delta") yield part.text;
      if (part.type === "error") throw part.error;
    }
  },
  "a listener that throws": async (append, signal) => {
    signal.addEventListener("abort", () => {
      throw new Error("This listener throws.");
    });
    await prattle(append);
  },
  "onabort that throws": async (append, signal) => {
    signal.onabort = () => {
      throw new Error("This handler throws.");
    };
    await prattle(append);
  },
  "a listener that aborts again": async (append, signal) => {
    const own = new AbortController();
    signal.addEventListener("abort", () => own.abort());
    signal.addEventListener("abort", () => own.abort());
    await fetch(`${baseURL()}/models`, { signal: own.signal });
    await prattle(append);
  },
  "a listener that never returns": async (append, signal) => {
    signal.addEventListener("abort", () => {
      // The host ends it after a while.
      Invocation.current()?.fail(new Error("The function took too long."));
    });
    await prattle(append);
  },
  "a writer that never returns": async (append) => {
    await prattle(append).catch(() => {});
    await new Promise(() => {});
  },
};
