/*
 * What runs in the context: the package, and writers as apps write them, each
 * with an SDK of its own. A writer stops when its signal fires, and does not
 * guard against anything.
 */
// First, for the modules of SDKs expect the globals.
import { extractSignal, handOver, perform } from "./globals.js";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import Anthropic from "@anthropic-ai/sdk";
import {
  PersistentTextStreaming,
  type BackgroundWriter,
  type StreamId,
} from "@convex-dev/persistent-text-streaming";
import { streamText } from "ai";
import {
  componentsGeneric,
  getFunctionAddress,
  type FunctionReference,
} from "convex/server";
import OpenAI from "openai";
import OpenAINewest from "openai-newest";
import type { ComponentApi } from "../../src/component/_generated/component.js";

type Signal = AbortSignal;

async function* openai(Client: typeof OpenAI, baseURL: string, signal: Signal) {
  const client = new Client({ apiKey: "-", baseURL });
  const completion = await client.chat.completions.create(
    { model: "demo", stream: true, messages: [user] },
    { signal },
  );
  for await (const chunk of completion) {
    yield chunk.choices[0]?.delta.content ?? "";
  }
}

const user = { role: "user" as const, content: "A long story, please." };

const anthropic = (baseURL: string) =>
  new Anthropic({ apiKey: "-", baseURL: baseURL.replace("/v1", "") });
const message = { model: "demo", max_tokens: 1000, messages: [user] };

const model = (baseURL: string) =>
  createOpenAICompatible({ name: "demo", baseURL })("demo");

/** Appends without an end, while the signal is left alone. */
async function prattle(append: (text: string) => Promise<void>) {
  for (let i = 0; ; i++) {
    await append(`${i} `);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

export const writers: Record<string, (baseURL: string) => BackgroundWriter> = {
  short: () =>
    async function* () {
      yield "Short ";
      await new Promise((resolve) => setTimeout(resolve, 2000));
      yield "to the end.";
    },
  "openai 7": (url) => (_append, signal) =>
    openai(OpenAINewest as unknown as typeof OpenAI, url, signal),
  "openai 6": (url) => (_append, signal) => openai(OpenAI, url, signal),
  "openai 6, append": (url) => async (append, signal) => {
    for await (const text of openai(OpenAI, url, signal)) await append(text);
  },
  "openai 6, stream()": (url) =>
    async function* (_append, signal) {
      const stream = new OpenAI({
        apiKey: "-",
        baseURL: url,
      }).chat.completions.stream(
        { model: "demo", messages: [user] },
        { signal },
      );
      for await (const chunk of stream) {
        yield chunk.choices[0]?.delta.content ?? "";
      }
    },
  "anthropic 1": (url) =>
    async function* (_append, signal) {
      const events = await anthropic(url).messages.create(
        { ...message, stream: true },
        { signal },
      );
      for await (const event of events) {
        if (event.type !== "content_block_delta") continue;
        if (event.delta.type === "text_delta") yield event.delta.text;
      }
    },
  "anthropic 1, stream()": (url) =>
    async function* (_append, signal) {
      const events = anthropic(url).messages.stream(message, { signal });
      for await (const event of events) {
        if (event.type !== "content_block_delta") continue;
        if (event.delta.type === "text_delta") yield event.delta.text;
      }
    },
  "ai 6, textStream": (url) => (_append, signal) =>
    streamText({
      model: model(url),
      messages: [user],
      abortSignal: signal,
      onError: () => {},
    }).textStream,
  "ai 6, fullStream": (url) =>
    async function* (_append, signal) {
      const { fullStream } = streamText({
        model: model(url),
        messages: [user],
        abortSignal: signal,
        onError: () => {},
      });
      for await (const part of fullStream) {
        if (part.type === "text-delta") yield part.text;
        if (part.type === "error") throw part.error;
      }
    },
  "a listener that throws": () => async (append, signal) => {
    signal.addEventListener("abort", () => {
      throw new Error("This listener throws.");
    });
    await prattle(append);
  },
  "onabort that throws": () => async (append, signal) => {
    signal.onabort = () => {
      throw new Error("This handler throws.");
    };
    await prattle(append);
  },
  "a listener that aborts again": (url) => async (append, signal) => {
    const own = new AbortController();
    signal.addEventListener("abort", () => own.abort());
    signal.addEventListener("abort", () => own.abort());
    await fetch(`${url}/models`, { signal: own.signal });
    await prattle(append);
  },
  "a listener that never returns": () => async (append, signal) => {
    signal.addEventListener("abort", () => void perform("hang"));
    await prattle(append);
  },
  "a writer that never returns": () => async (append) => {
    await prattle(append).catch(() => {});
    await new Promise(() => {});
  },
};

const { persistentTextStreaming } = componentsGeneric() as unknown as {
  persistentTextStreaming: ComponentApi;
};
const streaming = new PersistentTextStreaming(persistentTextStreaming);

const call =
  (kind: "query" | "mutation") =>
  (
    reference: FunctionReference<"query" | "mutation", "internal">,
    args: unknown,
  ) =>
    perform(kind, {
      name: getFunctionAddress(reference).reference?.split("/").at(-1),
      args,
    });
const ctx = { runQuery: call("query"), runMutation: call("mutation") } as never;

/** An HTTP action: the head of its response goes to the host, and then its body. */
export async function respond(
  writerName: string,
  baseURL: string,
  streamId: string,
): Promise<void> {
  const request = new Request("https://app.test/stream", {
    method: "POST",
    signal: extractSignal(),
  });
  const writer = writers[writerName]?.(baseURL);
  const response = await streaming.stream(
    ctx,
    request,
    streamId as StreamId,
    (_ctx, _request, _streamId, append, signal) =>
      (writer as BackgroundWriter)(append, signal),
  );
  const id = await perform<number>("head", response.status);
  handOver(response.body as never, id);
}

/** An action without a request. */
export async function generate(
  writerName: string,
  baseURL: string,
  streamId: string,
): Promise<void> {
  const writer = writers[writerName]?.(baseURL) as BackgroundWriter;
  let length = 0;
  await streaming.generate(ctx, streamId as StreamId, (append, signal) =>
    writer(async (text) => {
      await append(text);
      length += text.length;
      void perform("appended", length);
    }, signal),
  );
}

/** What the runtime is built on, shown by itself: does an action survive it? */
export const survives = {
  "aborting a signal that fetch has": async (url: string) => {
    const controller = new AbortController();
    await fetch(`${url}/models`, { signal: controller.signal });
    controller.abort();
  },
  "aborting it twice": async (url: string) => {
    const controller = new AbortController();
    await fetch(`${url}/models`, { signal: controller.signal });
    controller.abort();
    controller.abort();
  },
  "an exception in a listener": () => {
    const controller = new AbortController();
    controller.signal.addEventListener("abort", () => {
      throw new Error("Thrown in a listener.");
    });
    controller.abort();
  },
  "a rejection that is handled": () => {
    Promise.reject(new Error("Handled.")).catch(() => {});
  },
  "an unhandled rejection": () => {
    void Promise.reject(new Error("Not handled."));
  },
  "an exception in a timer": async () => {
    setTimeout(() => {
      throw new Error("Thrown in a timer.");
    });
    await new Promise((resolve) => setTimeout(resolve, 100));
  },
} as Record<string, (url: string) => Promise<void> | void>;
