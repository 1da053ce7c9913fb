import { readFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, inject, test } from "vitest";
import {
  compilerOptions,
  copySources,
  generate,
  generatedApi,
  modulesOf,
  newApp,
  repository,
  run,
  write,
} from "./fresh-app.js";

const { tarball } = inject("packed");
const { peerDependencies } = JSON.parse(
  readFileSync(join(repository, "package.json"), "utf8"),
) as { peerDependencies: { convex: string } };
const lowestConvex = peerDependencies.convex.replace("^", "");

const newest = ["convex", "react@19", "@types/react@19", "convex-test"];
const oldest = [
  `convex@${lowestConvex}`,
  "react@18.3",
  "@types/react@18",
  // The last version for such an old convex.
  "convex-test@0.0.48",
];
const resolutions = {
  bundler: { module: "ESNext", moduleResolution: "Bundler" },
  nodenext: { module: "NodeNext", moduleResolution: "NodeNext" },
};
type Resolution = keyof typeof resolutions;

const compilers = ["5.9", "6.0", "latest"];
let compilersFolder: string;
beforeAll(async () => {
  compilersFolder = await newApp(
    ...compilers.map((version) => `tsc-${version}@npm:typescript@${version}`),
  );
});

/** Compiles the app's sources. Rejects with the compiler's errors. */
async function compile(app: string, version: string, resolution: Resolution) {
  const options = { ...compilerOptions, ...resolutions[resolution] };
  const include = ["convex", "src", "tests"];
  const config = JSON.stringify({ compilerOptions: options, include });
  write(app, "tsconfig.json", config);
  const tsc = join(compilersFolder, `node_modules/tsc-${version}/bin/tsc`);
  await run(app, "node", tsc);
}

// Every pair that could clash meets in one of these.
const withNewest: [version: string, resolution: Resolution][] = [
  ["5.9", "bundler"],
  ["6.0", "bundler"],
  ["latest", "bundler"],
  ["latest", "nodenext"],
];
const withOldest: typeof withNewest = [
  ["5.9", "bundler"],
  ["5.9", "nodenext"],
  ["6.0", "nodenext"],
  ["latest", "bundler"],
];

describe.each([
  ["the newest convex and React", newest, withNewest, ["newest"]],
  [`convex ${lowestConvex} and React 18.3`, oldest, withOldest, []],
])("an app on %s imports everything", (_, packages, cases, more) => {
  let app: string;
  beforeAll(async () => {
    app = await newApp(tarball, "vite", ...packages);
    for (const sources of ["v0.3", "v0.4", ...more]) copySources(sources, app);
    generate(app);
  });

  test.each(cases)("with TypeScript %s, %s", (version, resolution) =>
    compile(app, version, resolution),
  );
});

test("an app of 0.3 also compiles with 0.3.3", async () => {
  const published = "@convex-dev/persistent-text-streaming@0.3.3";
  const app = await newApp(published, "vite", ...newest);
  copySources("v0.3", app);
  generate(app);
  await compile(app, "5.9", "bundler");
});

test("the fresh apps' generated code is what the Convex CLI writes", () => {
  const generated = join(repository, "example/convex/_generated/api.d.ts");
  const text = readFileSync(generated, "utf8");
  const modules = modulesOf(join(repository, "example/convex"));
  expect(generatedApi(text, modules)).toBe(text);
  expect(generatedApi(text, ["a"])).not.toContain("chat");
});
