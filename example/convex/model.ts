import { fakeModel } from "@convex-dev/persistent-text-streaming/fakes";
import OpenAI from "openai";
import { refusal } from "./access";
import type { ModelMessage } from "./chat";

/** The reply of a deployment without a model. It streams like a model's. */
const CANNED_REPLY = `This deployment has no \`OPENAI_API_KEY\`, so **every message gets this canned reply**. All the rest is real: the text reaches your page over HTTP as it is written, and is saved in the database as it arrives. Reload the page, or open it in a second window, and it continues where it was.

To connect a model, set a key, then ask again:

\`\`\`sh
npx convex env set OPENAI_API_KEY sk-…
\`\`\`

Any OpenAI-compatible endpoint will do: set \`OPENAI_BASE_URL\` to its address and \`OPENAI_MODEL\` to the name of one of its models.`;

/** How to reach the model. */
export function modelOptions() {
  const { OPENAI_API_KEY: apiKey, OPENAI_BASE_URL } = process.env;
  return {
    apiKey: apiKey || "none",
    baseURL: OPENAI_BASE_URL || "https://api.openai.com/v1",
    fetch: apiKey
      ? undefined
      : fakeModel(CANNED_REPLY, { firstTokenMs: 300, tokenMs: 30 }),
  };
}

/**
 * The model's reply to a conversation, piece by piece.
 *
 * If the model refuses, the reader learns why in the reply. Then this throws, and the
 * stream ends in `error`.
 */
export async function* reply(
  messages: ModelMessage[],
  signal: AbortSignal,
): AsyncGenerator<string, void> {
  // Created here, not at the top of the module, which also runs when the functions
  // are pushed. The environment is missing then, and `new OpenAI()` throws without a
  // key.
  const openai = new OpenAI({ ...modelOptions(), timeout: SILENCE_MS });
  let chunks: AsyncIterable<OpenAI.ChatCompletionChunk>;
  try {
    chunks = await openai.chat.completions.create(
      {
        model: modelName(),
        stream: true,
        messages: [{ role: "system", content: SYSTEM_PROMPT }, ...messages],
      },
      { signal },
    );
  } catch (error) {
    if (!signal.aborted && error instanceof OpenAI.APIError) {
      const what =
        error instanceof OpenAI.APIConnectionError
          ? "could not be reached"
          : "refused to answer";
      yield `**The model ${what}.** ${error.message}`;
    }
    throw error;
  }
  let finishReason: string | undefined;
  for await (const chunk of untilSilent(chunks)) {
    const [choice] = chunk.choices;
    if (choice?.delta.content) yield choice.delta.content;
    finishReason = choice?.finish_reason ?? finishReason;
  }
  checkFinish(finishReason);
}

/**
 * A dropped connection looks like the end of a reply. So a reply is complete only if
 * the model says so, in OpenAI's or the AI SDK's words.
 */
export function checkFinish(reason: string | undefined): void {
  switch (reason?.replace("_", "-")) {
    case "stop":
    case "tool-calls":
      return;
    case "length":
      throw refusal(
        "cut_off",
        "This reply stops early: it reached the model's maximum length.",
      );
    case "content-filter":
      throw refusal(
        "cut_off",
        "This reply stops early: the model's content filter ended it.",
      );
    default:
      throw refusal(
        "cut_off",
        "This reply stops early: the connection to the model was lost.",
      );
  }
}

/** How long (ms) a model may be silent. */
const SILENCE_MS = 60_000;

/**
 * Yields the same pieces. Throws if the next one takes too long, because a dead
 * connection may never report it.
 */
export async function* untilSilent<T>(
  pieces: AsyncIterable<T>,
): AsyncGenerator<T> {
  let heardAt = Date.now();
  let hasEnded = false;
  // One timer at a time, not one per piece: on a deployment a cleared timer keeps
  // running, and 1,000 running timers end the function.
  const silence = (async () => {
    while (!hasEnded) {
      await new Promise((resolve) => setTimeout(resolve, SILENCE_MS / 10));
      if (Date.now() - heardAt < SILENCE_MS) continue;
      throw refusal(
        "cut_off",
        "This reply stops early: the model stopped sending text.",
      );
    }
    return new Promise<never>(() => {});
  })();
  silence.catch(() => {});
  const iterator = pieces[Symbol.asyncIterator]();
  try {
    for (;;) {
      const next = await Promise.race([iterator.next(), silence]);
      if (next.done) return;
      heardAt = Date.now();
      yield next.value;
    }
  } finally {
    hasEnded = true;
    // Not awaited, because it waits for a piece that may never arrive.
    iterator.return?.().catch(() => {});
  }
}

export const modelName = () => process.env.OPENAI_MODEL ?? "gpt-5-mini";

export const SYSTEM_PROMPT =
  "You are a helpful assistant in a chat. Answer in markdown.";
