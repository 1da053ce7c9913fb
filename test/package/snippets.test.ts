/**
 * Code in the documents cannot rot. A block that begins with a path, such as
 * `// convex/chat.ts`, becomes that file in an app of its page: the quick start with the
 * page's files on top. Other blocks are compiled by themselves, as those in docstrings are.
 */
import { cpSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, expect, inject, test } from "vitest";
import {
  blocks,
  fileOf,
  filesIn,
  snippetsOf,
  writePages,
  type Snippet,
} from "./doc-pages.js";
import {
  copySources,
  generate,
  newApp,
  repository,
  run,
  write,
} from "./fresh-app.js";

const { tarball } = inject("packed");

/** The guide through the example shows excerpts of it. */
const isExcerpt = ({ where }: Snippet) => where.startsWith("example/");
const fragments = [
  ...blocks.filter((block) => !isExcerpt(block) && !fileOf(block)),
  ...filesIn("src", /^(?!.*_generated|.*\.test\.).*\.tsx?$/).flatMap(
    snippetsOf,
  ),
];

let app: string;
beforeAll(async () => {
  app = await newApp(
    tarball,
    ...["convex", "convex-test", "convex-helpers"],
    "@convex-dev/action-retrier",
    ...["openai", "ai@6", "@ai-sdk/openai@3", "@ai-sdk/react@3", "zod"],
    ...["react", "@types/react", "vue", "svelte", "solid-js"],
    ...["vitest", "@edge-runtime/vm", "vite", "@types/node"],
  );
  cpSync(join(repository, "example/minimal"), app, { recursive: true });
  copySources("docs", app);
  generate(app);
  writePages(app);
  for (const { where, language, code } of fragments) {
    const file = `fragments/${where.replace(/\W/g, "_")}.${language}`;
    write(app, file, `${code}\nexport {};\n`);
  }
});

/** An app's own options, strict. */
const compilerOptions = {
  target: "ES2022",
  lib: ["ES2023", "DOM", "DOM.Iterable"],
  jsx: "react-jsx",
  module: "ESNext",
  moduleResolution: "Bundler",
  types: ["vite/client", "node"],
  noEmit: true,
  isolatedModules: true,
  verbatimModuleSyntax: true,
  strict: true,
  noUncheckedIndexedAccess: true,
  // The AI SDK's types need those of Node.
  skipLibCheck: true,
};

test("all blocks compile, the quick start, and each page's files", async () => {
  // A page may have replaced the functions that the quick start's page calls.
  const exclude = ["node_modules", "*/src/App.tsx"];
  const config = { compilerOptions, include: ["**/*"], exclude };
  write(app, "tsconfig.json", JSON.stringify(config));
  const tsc = join(repository, "node_modules/typescript/bin/tsc");
  await run(app, "node", tsc);
}, 300_000);

/** Without white space, because excerpts are indented and wrapped differently. */
const squeezed = (code: string) => code.replaceAll(/\s|,(?=\s*[)\]}])/g, "");
const sources = filesIn("example", /^(?!.*_generated).*\.tsx?$/).map((file) =>
  squeezed(readFileSync(join(repository, file), "utf8")),
);

test.each(blocks.filter(isExcerpt))("$where is code that runs", ({ code }) => {
  expect(sources.some((source) => source.includes(squeezed(code)))).toBe(true);
});

test("the quick start is example/minimal, five short files", () => {
  const files = blocks.filter(
    (block) => block.where.startsWith("README") && fileOf(block),
  );
  expect(files).toHaveLength(5);
  for (const block of files) {
    const path = join(repository, "example/minimal", fileOf(block)!);
    expect(readFileSync(path, "utf8")).toBe(block.code);
  }
  const lines = files.flatMap(({ code }) => code.split("\n"));
  expect(lines.filter((line) => line.trim()).length).toBeLessThanOrEqual(85);
});

test("the pages' own tests pass", async () => {
  const config = "testing/vitest.config.ts";
  await run(app, "npx", "vitest", "run", "--config", config);
}, 300_000);

test("llms-full.txt is what `npm run llms` makes", async () => {
  await run(repository, "npm", "run", "llms", "--", "--check");
});
