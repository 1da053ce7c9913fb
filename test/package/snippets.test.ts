/** The code in the documents compiles, so that it cannot rot. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import ts from "typescript";
import { beforeAll, describe, expect, inject, test } from "vitest";
import { copySources, generate, newApp, repository, write } from "./fresh-app.js";

const { tarball } = inject("packed");

/** A fenced block of a document, or of a docstring. */
interface Snippet {
  /** The document and the line at which the block begins. */
  where: string;
  language: string;
  code: string;
}

function snippetsOf(file: string): Snippet[] {
  const text = readFileSync(join(repository, file), "utf8");
  const snippets: Snippet[] = [];
  // In a docstring, each line begins with an asterisk.
  const fence = /^( *\* |)```(\w+)\n([^]*?)^ *(?:\* |)```$/gm;
  for (const match of text.matchAll(fence)) {
    const [, margin = "", language = "", code = ""] = match;
    const line = text.slice(0, match.index).split("\n").length;
    const lines = code
      .split("\n")
      .map((l) => (margin === "" ? l : l.replace(/^ *\* ?/, "")));
    snippets.push({
      where: `${file}:${line}`,
      language,
      code: lines.join("\n"),
    });
  }
  return snippets.filter(({ language }) => /^tsx?$/.test(language));
}

const filesIn = (folder: string, end: RegExp) =>
  readdirSync(join(repository, folder), { recursive: true, encoding: "utf8" })
    .filter((file) => end.test(file))
    .map((file) => join(folder, file))
    .sort();
const documents = [
  ...filesIn("docs", /^[^/]*\.md$/),
  "README.md",
  "CONTRIBUTING.md",
  "CHANGELOG.md",
  ...filesIn("src", /^(?!.*_generated|.*\.test\.).*\.tsx?$/),
];
const snippets = documents.flatMap(snippetsOf);

/** A snippet that begins with `// convex/chat.ts` is that file of an app. */
const fileOf = ({ code }: Snippet) => /^\/\/ (\S+\.tsx?)\n/.exec(code)?.[1];
const files = snippets.filter((snippet) => fileOf(snippet) !== undefined);
const fragments = snippets.filter((snippet) => fileOf(snippet) === undefined);
const fragmentFile = ({ where, language }: Snippet) =>
  `fragments/${where.replace(/\W/g, "_")}.${language}`;

let errors: Map<string, string[]>;
beforeAll(async () => {
  const app = await newApp(
    tarball,
    "convex",
    "convex-test",
    "openai",
    "ai",
    "zod",
    "vite",
    "react",
    "@types/react",
  );
  for (const snippet of files) write(app, fileOf(snippet) ?? "", snippet.code);
  for (const snippet of fragments) {
    write(app, fragmentFile(snippet), `${snippet.code}\nexport {};\n`);
  }
  copySources("snippets", app);
  generate(app);
  errors = compile(app);
});

/** What the compiler says of each file of the app, in strict mode. */
function compile(app: string): Map<string, string[]> {
  const { options } = ts.convertCompilerOptionsFromJson(
    {
      target: "ES2022",
      lib: ["ES2023", "DOM", "DOM.Iterable"],
      jsx: "react-jsx",
      module: "ESNext",
      moduleResolution: "Bundler",
      types: ["vite/client"],
      isolatedModules: true,
      verbatimModuleSyntax: true,
      strict: true,
      noUncheckedIndexedAccess: true,
      // The AI SDK's own types want those of Node.
      skipLibCheck: true,
    },
    app,
  );
  const roots = ["convex", "src", "fragments"].flatMap((folder) =>
    ts.sys.readDirectory(join(app, folder), [".ts", ".tsx"]),
  );
  const host = ts.createCompilerHost(options);
  host.getCurrentDirectory = () => app;
  const program = ts.createProgram(roots, options, host);
  const found = new Map<string, string[]>();
  for (const root of roots) found.set(root.slice(app.length + 1), []);
  for (const { file, messageText } of ts.getPreEmitDiagnostics(program)) {
    const name = file?.fileName.slice(app.length + 1) ?? "";
    const message = ts.flattenDiagnosticMessageText(messageText, "\n");
    found.set(name, [...(found.get(name) ?? []), message]);
  }
  return found;
}

describe("the app in the README", () => {
  test("has all its files", () => {
    expect(files.map(fileOf).sort()).toEqual([
      "convex/chat.ts",
      "convex/convex.config.ts",
      "convex/http.ts",
      "convex/schema.ts",
      "src/Chat.tsx",
      "src/Reply.tsx",
    ]);
  });

  test.each(files)("$where compiles", (snippet) => {
    expect(errors.get(fileOf(snippet) ?? "")).toEqual([]);
  });
});

describe("with the names that it takes for granted,", () => {
  test.each(fragments)("$where compiles", (snippet) => {
    expect(errors.get(fragmentFile(snippet))).toEqual([]);
  });

  test("and these names are right", () => {
    for (const [file, found] of errors)
      expect({ file, found }).toEqual({ file, found: [] });
  });
});
