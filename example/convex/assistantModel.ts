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
      // As slow as a real service.
      await sleep(Number(process.env.TIDE_TABLE_MS ?? 1500), abortSignal);
      return tideTable(port, Date.now());
    },
  }),
};

/**
 * The assistant's reply to the last of these turns, as the lines that `useChat`
 * reads. An error becomes part of them for the reader. Then this throws, and the
 * stream ends in `error`.
 */
export async function* answer(
  turns: Turn[],
  signal: AbortSignal,
): AsyncGenerator<string, void> {
  // Gives the message the same id wherever it is shown.
  const messageId = turns.at(-1)?.streamId ?? "";
  const result = streamText({
    model: languageModel(),
    system: SYSTEM_PROMPT,
    messages: await modelMessages(turns),
    tools,
    stopWhen: stepCountIs(5),
    abortSignal: signal,
    // It is part of the reply; otherwise it would also be logged.
    onError: () => {},
  });
  const chunks = result.toUIMessageStream({
    generateMessageId: () => messageId,
    onError: explanation,
  });
  yield* encodeUIMessageStream(withProblems(chunks));
}

/** The chunks of a reply, with an error chunk if it is incomplete. */
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

/** The error for the reader. The model also sees a tool's error. */
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
  // A model may send something that is not an `Error`.
  const { message } = Object(error) as { message?: unknown };
  return typeof message === "string" ? message : String(error);
}

/** Ends early, with the signal's reason, when the signal fires. */
function sleep(ms: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, ms);
    signal?.addEventListener("abort", () => {
      clearTimeout(timer);
      reject(signal.reason as Error);
    });
  });
}
