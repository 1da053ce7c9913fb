import { readFileSync } from "node:fs";

export type ChatMessage = { role: string; content: string };

export type Reply =
  | { kind: "text"; text: string }
  /** Only half of it arrives; then the stream ends with an error. */
  | { kind: "broken"; text: string }
  /** An error instead of a reply. */
  | { kind: "refusal"; message: string };

/** The texts, and the words of a prompt that call for each. The first match wins. */
const library = [
  { name: "story", words: ["story", "alice", "novel", "long"] },

  { name: "python", words: ["python", "sort", "algorithm"] },
  { name: "code", words: ["code", "typescript", "function", "debounce"] },
  { name: "table", words: ["table", "planet", "compare", "moons"] },
  { name: "chinese", words: ["chinese", "中文", "茶", "你好"] },
  { name: "emoji", words: ["emoji", "weather", "garden"] },
  { name: "bread", words: ["bread", "recipe", "bake"] },
  { name: "hello", words: ["hello", "hi", "hey"] },
  { name: "tides", words: ["tide", "sea", "moon", "ocean"] },
].map(({ name, words }) => ({
  words,
  text: readFileSync(
    new URL(`./texts/${name}.md`, import.meta.url),
    "utf8",
  ).trim(),
}));

/** What a prompt that calls for nothing in particular gets, in turn. */
const inTurn = ["tides", "code", "bread", "python", "emoji", "table"].map(
  (name) => textFor(name),
);

/**
 * @param serial The number of replies given before this one.
 */
export function chooseReply(messages: ChatMessage[], serial: number): Reply {
  const prompts = messages
    .filter((message) => message.role === "user")
    .map((message) => message.content);
  const prompt = prompts.at(-1)?.toLowerCase() ?? "";
  if (/\brefuse\b/.test(prompt)) {
    return { kind: "refusal", message: "It was asked to refuse." };
  }
  const text = /what did i (say|ask)/.test(prompt)
    ? recall(prompts.slice(0, -1))
    : (textFor(prompt) ?? inTurn[serial % inTurn.length] ?? "");
  return /\bfail\b.*\bhalf[- ]?way\b|\bhalf[- ]?way\b.*\bfail\b/.test(prompt)
    ? { kind: "broken", text }
    : { kind: "text", text };
}

function textFor(prompt: string): string | undefined {
  return library.find(({ words }) =>
    words.some((word) =>
      // No word boundaries between Chinese characters.
      /^\w+$/.test(word)
        ? new RegExp(`\\b${word}s?\\b`).test(prompt)
        : prompt.includes(word),
    ),
  )?.text;
}

function recall(earlier: string[]): string {
  if (earlier.length === 0) return "This is the first thing that you said.";
  const list = earlier.map((prompt, i) => `${i + 1}. ${prompt}`).join("\n");
  return `Before this, you said:\n\n${list}`;
}
