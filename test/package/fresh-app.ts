/** Fresh apps outside the repository, with nothing but what is installed in them. */
import { execFile } from "node:child_process";
import {
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll } from "vitest";

const path = (relative: string) =>
  fileURLToPath(new URL(relative, import.meta.url));

export const repository = path("../..");

/** Runs a command. If it fails, its output is the error. */
export function run(cwd: string, command: string, ...args: string[]) {
  return new Promise<string>((resolve, reject) => {
    execFile(command, args, { cwd }, (error, stdout, stderr) => {
      if (error === null) resolve(stdout);
      else reject(new Error(`${stdout}\n${stderr}`));
    });
  });
}

/** A new app with these packages. It is deleted after the tests of the file. */
export async function newApp(...packages: string[]): Promise<string> {
  const app = mkdtempSync(join(tmpdir(), "app-"));
  afterAll(() => rmSync(app, { recursive: true, force: true }));
  write(app, "package.json", '{ "private": true, "type": "module" }');
  const options = ["--prefer-offline", "--ignore-scripts", "--no-audit"];
  await run(app, "npm", "install", ...options, ...packages);
  return app;
}

export function write(app: string, file: string, text: string): void {
  mkdirSync(dirname(join(app, file)), { recursive: true });
  writeFileSync(join(app, file), text);
}

/** Copies the sources of one of the apps in `apps/`. */
export function copySources(name: string, app: string): void {
  cpSync(path(`apps/${name}`), app, { recursive: true });
}

export const compilerOptions = {
  target: "ES2022",
  lib: ["ES2022", "DOM", "DOM.Iterable"],
  jsx: "react-jsx",
  types: [],
  noEmit: true,
  resolveJsonModule: true,
  isolatedModules: true,
  verbatimModuleSyntax: true,
  // As strict as an app may be. This applies to the package's sources and
  // declarations, too.
  strict: true,
  skipLibCheck: false,
  exactOptionalPropertyTypes: true,
  noUncheckedIndexedAccess: true,
  noPropertyAccessFromIndexSignature: true,
  noImplicitOverride: true,
  noImplicitReturns: true,
  noUnusedLocals: true,
  noUnusedParameters: true,
};

const example = path("../../example/convex");

/** Writes what `convex dev` would generate for an app that uses the component. */
export function generate(app: string): void {
  const from = join(example, "_generated");
  for (const file of readdirSync(from)) {
    const text = readFileSync(join(from, file), "utf8");
    const convex = join(app, "convex");
    const api = generatedApi(text, modulesOf(convex), componentsOf(convex));
    write(app, `convex/_generated/${file}`, file === "api.d.ts" ? api : text);
  }
}

/** The example's `api.d.ts` with the modules of another app, and its further components. */
export function generatedApi(
  text: string,
  modules: string[],
  components: string[] = [],
): string {
  const imports = modules.map(
    (m) => `import type * as ${m} from "../${m}.js";\n`,
  );
  const entries = modules.map((m) => `  ${m}: typeof ${m};\n`);
  return text
    .replace(/(import type \* as .*\n)+/, imports.join(""))
    .replace(/(?<=ApiFromModules<\{\n)[^}]*/, entries.join(""))
    .replace(/(?<=const components: \{\n)/, components.join(""));
}

/** Other components that an app uses. */
function componentsOf(convex: string): string[] {
  const config = readFileSync(join(convex, "convex.config.ts"), "utf8");
  const imports = config.matchAll(
    /import (?!persistentTextStreaming)(\w+) from "(.+)\/convex\.config"/g,
  );
  return [...imports].map(
    ([, name, from]) =>
      `  ${name}: import("${from}/_generated/component.js").ComponentApi<"${name}">;\n`,
  );
}

/** The names of the files in which Convex looks for functions. */
export function modulesOf(folder: string): string[] {
  // Not those with another dot in their name: `convex.config.ts`, `chat.test.ts`.
  return readdirSync(folder)
    .filter((file) => /^[^.]+\.ts$/.test(file) && file !== "schema.ts")
    .map((file) => file.slice(0, -".ts".length))
    .sort();
}
