import { readFileSync } from "node:fs";
import { tokenize } from "../test/local-deployment/model/tokens.js";

/** Two replies as a chat model gives them, in Markdown. */
const replies = ["tides", "bread"].map((name) =>
  readFileSync(
    new URL(`../test/local-deployment/model/texts/${name}.md`, import.meta.url),
    "utf8",
  ),
);

const cycle = tokenize(replies.join("\n"));

/** The first `count` tokens of a text that begins anew when it is over. */
export function tokens(count: number): string[] {
  return Array.from({ length: count }, (_, i) => cycle[i % cycle.length] ?? "");
}

/** The length of that text (UTF-16 code units). */
export function charactersOf(count: number): number {
  return tokens(count).join("").length;
}
