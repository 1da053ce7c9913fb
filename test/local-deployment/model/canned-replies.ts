import { readFileSync } from "node:fs";
import { decodeGenerator, encode } from "gpt-tokenizer/encoding/o200k_base";

export type ChatMessage = {
  role: string;
  /** Null in some messages that call a tool. */
  content: string | null;
};

export type Reply =
  /** With `breaks`, only half of the text comes. */
  | { kind: "text"; text: string; reasoning?: string; breaks?: Break }
  /** The tool's answer comes with the next request. */
  | { kind: "call"; reasoning: string; tool: string; input: object };

/** How a reply may break half way, and the words of a prompt that ask for it, as in "Fail half way". */
const breaks = {
  /** An error instead of more text. */
  error: /\bfail\b/,
  overloaded: /\boverload/,
  /** The connection breaks. */
  cut: /\bcut\b/,
  /** The response ends, and nothing says that the reply has. */
  end: /\bend\b/,
  /** Something that is not JSON. */
  rubbish: /\brubbish\b/,
  /** Reasons to finish other than `stop`. */
  length: /\blength\b/,
  content_filter: /\bfilter/,
};
type Break = keyof typeof breaks;

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
  { name: "tides", words: ["tide", "sea", "moon", "ocean", "high water"] },
].map(({ name, words }) => ({
  words,
  text: readFileSync(
    new URL(`./texts/${name}.md`, import.meta.url),
    "utf8",
  ).trim(),
}));

/** The replies to all other prompts, in turn. */
const inTurn = ["tides", "code", "bread", "python", "emoji", "table"].map(
  (name) => textFor(name),
);

/**
 * @param serial The number of replies given before this one.
 * @param tools The names of the caller's tools. With tools, the reply has
 *   reasoning, too.
 */
export function chooseReply(
  messages: ChatMessage[],
  serial: number,
  tools: string[] = [],
): Reply {
  const asked = messages.findLast(({ role }) => role === "user")?.content ?? "";
  const prompt = asked.toLowerCase();
  const text = textFor(prompt) ?? inTurn[serial % inTurn.length] ?? "";
  const isBroken = /\bhalf way\b/.test(prompt);
  const reply = {
    kind: "text" as const,
    text,
    breaks: (Object.keys(breaks) as Break[]).find(
      (how) => isBroken && breaks[how].test(prompt),
    ),
  };
  if (tools.length === 0) return reply;
  const last = messages.at(-1);
  if (last?.role === "tool") {
    return { ...reply, text: `${summary(last.content)}\n\n${text}` };
  }
  const port = portIn(prompt);
  if (tools.includes("tideTable") && port !== null) {
    return {
      kind: "call",
      reasoning: thoughtsBefore(port),
      tool: "tideTable",
      input: { port },
    };
  }
  return { ...reply, reasoning: thoughtsOn(asked) };
}

export function textFor(prompt: string): string | undefined {
  return library.find(({ words }) =>
    words.some((word) =>
      // No word boundaries between Chinese characters.
      /^\w+$/.test(word)
        ? new RegExp(`\\b${word}s?\\b`).test(prompt)
        : prompt.includes(word),
    ),
  )?.text;
}

const PORTS = ["Saint-Malo", "Bristol", "Brest", "Hamburg", "New York"];

/** The port whose tides a prompt, in lower case, asks for. */
function portIn(prompt: string): string | null {
  if (!/\b(tides?|high water|low water)\b/.test(prompt)) return null;
  return PORTS.find((port) => prompt.includes(port.toLowerCase())) ?? null;
}

const thoughtsBefore = (port: string) =>
  `The question is about the tides at ${port}. I know why there are tides, but not the times and heights of a given day, and a guess could put a boat on the sand. There is a tool for that: tideTable takes the name of a port. I will ask it for ${port} first, and then answer with its figures.`;

const thoughtsOn = (prompt: string) =>
  `I was asked: “${prompt.split("\n", 1)[0]?.slice(0, 80)}”. No tool is needed for this. I should answer directly, put the main point first, and keep the rest short.`;

/** What a tool answered, in a sentence. */
function summary(content: string | null): string {
  let result: unknown;
  try {
    result = JSON.parse(content ?? "");
  } catch {
    result = null;
  }
  const { port, tides = [] } = (result ?? {}) as {
    port?: string;
    tides?: { kind: string; time: string; metres: number }[];
  };
  const high = tides.filter(({ kind }) => kind === "high");
  if (port === undefined || high.length === 0) {
    return "The table gave nothing that I could use, so here is what I know without it.";
  }
  const times = high.map(({ time, metres }) => `**${time}** (${metres} m)`);
  return `The water at ${port} is highest at ${times.join(" and at ")}.`;
}

/**
 * Splits a text into tokens, as a model would emit it. A character that takes several
 * tokens (most emoji, many Chinese characters) comes in one piece, as from a real API.
 */
export function tokenize(text: string): string[] {
  return [...decodeGenerator(encode(text))].filter((token) => token !== "");
}
