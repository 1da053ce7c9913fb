import { fakeModel } from "@convex-dev/persistent-text-streaming/fakes";
import OpenAI from "openai";
import { refusal } from "./access";
import type { ModelMessage } from "./chat";

/** The reply of a deployment that has no model. It streams as a model's would. */
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
 * The model's reply to a conversation, in pieces as they come.
 *
 * What the reader has to know becomes part of the reply; then it throws, and the
 * stream ends in `error`.
 */
export async function* reply(
  messages: ModelMessage[],
  signal: AbortSignal,
): AsyncGenerator<string, void> {
  // Made here and not at the top of the module, which also runs when the
  // functions are pushed: the environment is not there yet, and `new OpenAI()`
  // without a key throws.
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
 * A connection that is cut looks like a reply that ends. So a reply is complete
 * only if the model says that it is, by OpenAI's word or the AI SDK's.
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

/** How long (ms) a model may send nothing. */
const SILENCE_MS = 60_000;

/** The same pieces. Throws if the next one does not come in time: a dead connection may never say so. */
export async function* untilSilent<T>(
  pieces: AsyncIterable<T>,
): AsyncGenerator<T> {
  let heardAt = Date.now();
  let hasEnded = false;
  // One timer at a time, and not one for each piece: on a deployment, a cleared
  // timer keeps running, and 1,000 of them end the function.
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
    // Not awaited: it waits behind a piece that may never come.
    iterator.return?.().catch(() => {});
  }
}

export const modelName = () => process.env.OPENAI_MODEL ?? "gpt-5-mini";

export const SYSTEM_PROMPT =
  "You are a helpful assistant in a chat. Answer in markdown.";
