import OpenAI from "openai";
import type { ModelMessage } from "./chat";

export const SET_KEY = `**There is no model to answer yet.** This deployment has no \`OPENAI_API_KEY\`. Set one, then ask again:

\`\`\`sh
npx convex env set OPENAI_API_KEY sk-…
\`\`\`

Any OpenAI-compatible endpoint will do: set \`OPENAI_BASE_URL\` to its address and \`OPENAI_MODEL\` to the name of a model that it has.`;

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
  const apiKey = process.env.OPENAI_API_KEY;
  if (!apiKey) {
    yield SET_KEY;
    throw new Error("OPENAI_API_KEY is not set.");
  }
  // Made here and not at the top of the module, which also runs when the
  // functions are pushed: the environment is not there yet, and `new OpenAI()`
  // without a key throws.
  const openai = new OpenAI({ apiKey, baseURL: process.env.OPENAI_BASE_URL });
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
  for await (const chunk of chunks) {
    const text = chunk.choices[0]?.delta.content;
    if (text) yield text;
  }
}

export const modelName = () => process.env.OPENAI_MODEL ?? "gpt-5-mini";

export const SYSTEM_PROMPT =
  "You are a helpful assistant in a chat. Answer in markdown.";
