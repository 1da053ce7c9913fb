import { readFileSync } from "node:fs";

export type ChatMessage = {
  role: string;
  /** Null in some messages that call a tool. */
  content: string | null;
};

export type Reply =
  | { kind: "text"; text: string; reasoning?: string }
  /** Only half of it arrives. */
  | { kind: "broken"; text: string; reasoning?: string; how: Break }
  /** The tool's answer comes with the next request. */
  | { kind: "call"; reasoning: string; tool: string; input: object }
  /** An error instead of a reply. */
  | { kind: "refusal"; message: string };

/** How a reply may break half way, and the words of a prompt that ask for it, as in "Hang half way". */
const breaks = {
  /** An error instead of more text. */
  error: /\bfail\b/,
  overloaded: /\boverload/,
  /** The connection breaks. */
  cut: /\bcut\b/,
  /** The response ends, and nothing says that the reply has. */
  end: /\bend\b/,
  /** Nothing more comes. */
  hang: /\bhang\b/,
  /** Something that is not JSON. */
  rubbish: /\brubbish\b/,
  /** Reasons to finish other than `stop`. */
  length: /\blength\b/,
  content_filter: /\bfilter/,
};
export type Break = keyof typeof breaks;

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
  const reply = replyTo(messages, serial);
  if (reply.kind === "refusal" || tools.length === 0) return reply;
  const last = messages.at(-1);
  if (last?.role === "tool") {
    return { ...reply, text: `${summary(last.content)}\n\n${reply.text}` };
  }
  const prompt = last?.content ?? "";
  const port = portIn(prompt);
  if (tools.includes("tideTable") && port !== null) {
    return {
      kind: "call",
      reasoning: thoughtsBefore(port),
      tool: "tideTable",
      input: { port },
    };
  }
  return { ...reply, reasoning: thoughtsOn(prompt) };
}

function replyTo(
  messages: ChatMessage[],
  serial: number,
): Exclude<Reply, { kind: "call" }> {
  const asked = messages.findLast(({ role }) => role === "user");
  const prompt = asked?.content?.toLowerCase() ?? "";
  if (/\brefuse\b/.test(prompt)) {
    return { kind: "refusal", message: "It was asked to refuse." };
  }
  const size = Number(/\b(\d+) mib\b/.exec(prompt)?.[1] ?? 0);
  const text =
    size > 0
      ? lines(size * 1024 * 1024)
      : (textFor(prompt) ?? inTurn[serial % inTurn.length] ?? "");
  const how = /\bhalf[- ]?way\b/.test(prompt)
    ? Object.entries(breaks).find(([, words]) => words.test(prompt))
    : undefined;
  return how === undefined
    ? { kind: "text", text }
    : { kind: "broken", text, how: how[0] as Break };
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

/** A text of that length, in numbered lines. */
function lines(length: number): string {
  let text = "";
  for (let line = 1; text.length < length; line++) {
    text += `${line}. The same procedure as in every line before this one.\n`;
  }
  return text.slice(0, length);
}

const PORTS = ["Saint-Malo", "Bristol", "Brest", "Hamburg", "New York"];

/** The port whose tides a prompt asks for; `null` if it does not ask for tides. */
function portIn(prompt: string): string | null {
  if (!/\b(tides?|high water|low water)\b/i.test(prompt)) return null;
  const named = PORTS.find((port) =>
    prompt.toLowerCase().includes(port.toLowerCase()),
  );
  return named ?? null;
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
