import { fileURLToPath } from "node:url";

const src = (path: string) =>
  fileURLToPath(new URL(`../../src/${path}`, import.meta.url));

/** The package's entry points as its sources, so that no stale build can make a test pass. */
export const sources = [
  ["@convex-dev/persistent-text-streaming/react", "react/index.ts"],
  ["@convex-dev/persistent-text-streaming/browser", "browser/index.ts"],
  ["@convex-dev/persistent-text-streaming/ai", "ai/index.ts"],
  ["@convex-dev/persistent-text-streaming/durable", "durable/index.ts"],
  ["@convex-dev/persistent-text-streaming/fakes", "fakes/index.ts"],
  ["@convex-dev/persistent-text-streaming/test", "test.ts"],
  [
    "@convex-dev/persistent-text-streaming/convex.config",
    "component/convex.config.ts",
  ],
  ["@convex-dev/persistent-text-streaming", "client/index.ts"],
].map(([find, path]) => ({
  find: new RegExp(`^${find}$`),
  replacement: src(path ?? ""),
}));
