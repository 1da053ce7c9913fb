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

const packageName = "@convex-dev/persistent-text-streaming";
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

/** Writes what `convex dev` would generate for an app that uses the component. */
export function generate(app: string): void {
  const convex = join(app, "convex");
  const generated = path("../../example/convex/_generated");
  cpSync(generated, join(convex, "_generated"), { recursive: true });
  const modules = readdirSync(convex)
    // Not those with another dot in their name: `convex.config.ts`, `chat.test.ts`.
    .filter((file) => /^[^.]+\.ts$/.test(file) && file !== "schema.ts")
    .map((file) => file.slice(0, -".ts".length))
    .map((name) => `${name}: typeof import("../${name}.js");`);
  const config = readFileSync(join(convex, "convex.config.ts"), "utf8");
  // An app may import the package's own component by any name.
  const others = config.matchAll(
    /import (\w+) from "(?!@convex-dev\/persistent)(.+)\/convex\.config/g,
  );
  const own = ["", "persistentTextStreaming", packageName];
  const components = [own, ...others].map(
    ([, name, from]) =>
      `${name}: import("${from}/_generated/component.js").ComponentApi<"${name}">;`,
  );
  const api = `
    import type { ApiFromModules, FilterApi, FunctionReference } from "convex/server";
    declare const fullApi: ApiFromModules<{ ${modules.join(" ")} }>;
    type Reference<Visibility extends "public" | "internal"> = FunctionReference<any, Visibility>;
    export declare const api: FilterApi<typeof fullApi, Reference<"public">>;
    export declare const internal: FilterApi<typeof fullApi, Reference<"internal">>;
    export declare const components: { ${components.join(" ")} };
  `;
  write(app, "convex/_generated/api.d.ts", api);
}
