import { readFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, inject, test } from "vitest";
import { writePages } from "./doc-pages.js";
import {
  compilerOptions,
  copySources,
  generate,
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
/** Pages whose apps use most of the package. With NodeNext, their imports would need an extension. */
const pages = ["auth", "endings"];
const sources = ["convex", "src", "tests"];
const resolutions = {
  bundler: {
    options: { module: "ESNext", moduleResolution: "Bundler" },
    include: [
      ...sources,
      "*.d.ts",
      ...pages.flatMap((page) => [`${page}/convex`, `${page}/src/Reply.tsx`]),
    ],
  },
  nodenext: {
    options: { module: "NodeNext", moduleResolution: "NodeNext" },
    include: sources,
  },
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
  const { options, include } = resolutions[resolution];
  const config = {
    compilerOptions: { ...compilerOptions, ...options },
    include,
  };
  write(app, "tsconfig.json", JSON.stringify(config));
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

const published = "@convex-dev/persistent-text-streaming@0.3.3";
describe.each([
  {
    on: "the newest convex and React",
    packages: [tarball, ...newest],
    cases: withNewest,
    sources: ["v0.3", "v0.4", "newest"],
  },
  {
    on: `convex ${lowestConvex} and React 18.3`,
    packages: [tarball, ...oldest],
    cases: withOldest,
    sources: ["v0.3", "v0.4"],
  },
  {
    on: "0.3.3, as published",
    packages: [published, ...newest],
    cases: withNewest.slice(0, 1),
    sources: ["v0.3"],
  },
])("an app on $on compiles", ({ packages, cases, sources }) => {
  let app: string;
  beforeAll(async () => {
    app = await newApp("vite", ...packages);
    for (const each of sources) copySources(each, app);
    generate(app);
    if (!sources.includes("v0.4")) return;
    writePages(app, pages);
    const env = "interface ImportMetaEnv { VITE_CONVEX_SITE_URL: string }";
    write(app, "env.d.ts", env);
  });

  test.each(cases)("with TypeScript %s, %s", (version, resolution) =>
    compile(app, version, resolution),
  );
});
