import { readFileSync } from "node:fs";
import { decodeGenerator, encode } from "gpt-tokenizer/encoding/o200k_base";

export interface ChatMessage {
  role: string;
  /** Null in some messages that call a tool. */
  content: string | null;
}

export interface Reply {
  reasoning?: string;
  text?: string;
  /** The tool's answer comes with the next request. */
  call?: { tool: string; input: object };
  /** Only half of the text comes. */
  breaks?: Break | undefined;
}

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

/** The words of a prompt that call for each text. The first match wins. */
const library: Record<string, RegExp> = {
  story: /\b(story|alice|novel|long)\b/,
  python: /\b(python|sort|algorithm)s?\b/,
  code: /\b(code|typescript|function|debounce)s?\b/,
  table: /\b(table|planet|compare|moons)s?\b/,
  chinese: /\bchinese\b|中文|茶|你好/,
  emoji: /\b(emoji|weather|garden)s?\b/,
  bread: /\b(bread|recipe|bake)s?\b/,
  hello: /\b(hello|hi|hey)\b/,
  tides: /\b(tide|sea|moon|ocean|high water)s?\b/,
};
/** The texts for all other prompts, in turn. */
const inTurn = ["tides", "code", "bread", "python", "emoji", "table"] as const;

const PORTS = ["Saint-Malo", "Bristol", "Brest", "Hamburg", "New York"];

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
  const reply: Reply = {
    text: textFor(prompt, serial),
    breaks: (Object.keys(breaks) as Break[]).find(
      (how) => /\bhalf way\b/.test(prompt) && breaks[how].test(prompt),
    ),
  };
  if (tools.length === 0) return reply;
  const last = messages.at(-1);
  if (last?.role === "tool") {
    return { ...reply, text: `${summary(last.content)}\n\n${reply.text}` };
  }
  const port =
    /\b(tides?|(high|low) water)\b/.test(prompt) &&
    PORTS.find((port) => prompt.includes(port.toLowerCase()));
  if (tools.includes("tideTable") && port) {
    return {
      reasoning: `The question is about the tides at ${port}. I know why there are tides, but not the times and heights of a given day, and a guess could put a boat on the sand. There is a tool for that: tideTable takes the name of a port. I will ask it for ${port} first, and then answer with its figures.`,
      call: { tool: "tideTable", input: { port } },
    };
  }
  const [line = ""] = asked.split("\n", 1);
  return {
    ...reply,
    reasoning: `I was asked: “${line.slice(0, 80)}”. No tool is needed for this. I should answer directly, put the main point first, and keep the rest short.`,
  };
}

/** @param prompt In lower case. */
export function textFor(prompt: string, serial = 0): string {
  const name =
    Object.keys(library).find((name) => library[name]!.test(prompt)) ??
    inTurn[serial % inTurn.length]!;
  const file = new URL(`./texts/${name}.md`, import.meta.url);
  return readFileSync(file, "utf8").trim();
}

/** What the tool answered, in a sentence. */
function summary(content: string | null): string {
  const { port, tides } = JSON.parse(content ?? "") as {
    port: string;
    tides: { kind: string; time: string; metres: number }[];
  };
  const times = tides
    .filter(({ kind }) => kind === "high")
    .map(({ time, metres }) => `**${time}** (${metres} m)`);
  return `The water at ${port} is highest at ${times.join(" and at ")}.`;
}

/**
 * Splits a text into tokens, as a model would emit it. A character that takes several
 * tokens (most emoji, many Chinese characters) comes in one piece, as from a real API.
 */
export function tokenize(text: string): string[] {
  return [...decodeGenerator(encode(text))].filter((token) => token !== "");
}
