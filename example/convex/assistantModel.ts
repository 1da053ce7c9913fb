import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { encodeUIMessageStream } from "@convex-dev/persistent-text-streaming/ai";
import {
  APICallError,
  jsonSchema,
  stepCountIs,
  streamText,
  tool,
  type LanguageModel,
  type UIMessageChunk,
} from "ai";
import { ConvexError } from "convex/values";
import type { Turn } from "./assistant";
import { modelMessages } from "./assistantMessages";
import {
  checkFinish,
  modelName,
  modelOptions,
  SYSTEM_PROMPT,
  untilSilent,
} from "./model";
import { portNames, tideTable, type TideTable } from "./tides";

export const tools = {
  tideTable: tool({
    description: "Today's times and heights of high and low water at a port.",
    inputSchema: jsonSchema<{ port: string }>({
      type: "object",
      properties: { port: { type: "string", enum: portNames } },
      required: ["port"],
      additionalProperties: false,
    }),
    execute: async ({ port }, { abortSignal }): Promise<TideTable> => {
      // As long as asking a real service takes.
      await sleep(Number(process.env.TIDE_TABLE_MS ?? 1500), abortSignal);
      return tideTable(port, Date.now());
    },
  }),
};

/**
 * The assistant's reply to the last of these turns, as the lines that `useChat`
 * reads. What the reader has to know of an error is among them; then it throws, and
 * the stream ends in `error`.
 */
export async function* answer(
  turns: Turn[],
  signal: AbortSignal,
): AsyncGenerator<string, void> {
  // So that the message has the same id wherever it is shown.
  const messageId = turns.at(-1)?.streamId ?? "";
  const result = streamText({
    model: languageModel(),
    system: SYSTEM_PROMPT,
    messages: await modelMessages(turns),
    tools,
    stopWhen: stepCountIs(5),
    abortSignal: signal,
    // It is part of the reply; without this it would be logged as well.
    onError: () => {},
  });
  const chunks = result.toUIMessageStream({
    generateMessageId: () => messageId,
    onError: explanation,
  });
  yield* encodeUIMessageStream(withProblems(chunks));
}

/** The chunks of a reply, with an error among them if it is not complete. */
async function* withProblems(
  chunks: AsyncIterable<UIMessageChunk>,
): AsyncGenerator<UIMessageChunk> {
  let hasFailed = false;
  let finish: Extract<UIMessageChunk, { type: "finish" }> | undefined;
  try {
    for await (const chunk of untilSilent(chunks)) {
      if (chunk.type === "error") hasFailed = true;
      if (chunk.type !== "finish") yield chunk;
      else finish = chunk;
    }
    if (!hasFailed) checkFinish(finish?.finishReason);
  } catch (error) {
    yield { type: "error", errorText: explanation(error) };
  }
  if (finish !== undefined) yield finish;
}

function languageModel(): LanguageModel {
  const provider = createOpenAICompatible({
    name: "openai",
    ...modelOptions(),
  });
  return provider(modelName());
}

/** What the reader is told about an error. A tool's is told to the model, too. */
function explanation(error: unknown): string {
  if (APICallError.isInstance(error)) {
    const what =
      error.statusCode === undefined
        ? "could not be reached"
        : "refused to answer";
    return `**The model ${what}.** ${error.message}`;
  }
  if (error instanceof ConvexError) {
    return (error.data as { message: string }).message;
  }
  // What a model sends instead of more text is no `Error`.
  const { message } = Object(error) as { message?: unknown };
  return typeof message === "string" ? message : String(error);
}

/** Ends early, with the signal's reason, when that fires. */
function sleep(ms: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, ms);
    signal?.addEventListener("abort", () => {
      clearTimeout(timer);
      reject(signal.reason as Error);
    });
  });
}
