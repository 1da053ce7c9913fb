/** The code in the documents, and the apps that their pages describe. */
import { cpSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { generate, repository, write } from "./fresh-app.js";

/** A fenced block of a document, or of a docstring. */
export interface Snippet {
  /** The document and the line at which the block begins. */
  where: string;
  language: string;
  code: string;
}

export function snippetsOf(file: string): Snippet[] {
  const text = readFileSync(join(repository, file), "utf8");
  // In a docstring, each line begins with an asterisk.
  const fence = /^( *\* |)```(tsx?)\n([^]*?)^ *(?:\* |)```$/gm;
  return [...text.matchAll(fence)].map((match) => {
    const [, margin, language = "", code = ""] = match;
    return {
      where: `${file}:${text.slice(0, match.index).split("\n").length}`,
      language,
      code: margin ? code.replaceAll(/^ *\* ?/gm, "") : code,
    };
  });
}

export const filesIn = (folder: string, end: RegExp) =>
  readdirSync(join(repository, folder), { recursive: true, encoding: "utf8" })
    .filter((file) => end.test(file))
    .map((file) => join(folder, file))
    .sort();

export const blocks = [
  "README.md",
  "example/README.md",
  ...filesIn("docs", /^[^/]*\.md$/),
].flatMap(snippetsOf);

/** The path that a block begins with, such as `// convex/chat.ts`. */
export const fileOf = ({ code }: Snippet) =>
  /^\/\/ (\S+\.tsx?)\n/.exec(code)?.[1];

const pageOf = ({ where }: Snippet) => /^docs\/(.+)\.md/.exec(where)?.[1];
const pages = new Set(blocks.filter(fileOf).map(pageOf));

/** Creates a folder for each page: a copy of the quick start's app, plus the page's own files. */
export function writePages(
  app: string,
  names: Iterable<string | undefined> = pages,
) {
  for (const name of names) {
    if (name === undefined) continue;
    const folder = join(app, name);
    const options = { recursive: true };
    cpSync(join(repository, "example/minimal"), folder, options);
    const shared = join(repository, "test/package/apps/docs/shared");
    cpSync(shared, join(folder, "convex"), options);
    for (const block of blocks) {
      const file = fileOf(block);
      if (file && pageOf(block) === name) write(folder, file, block.code);
    }
    generate(folder);
  }
}
