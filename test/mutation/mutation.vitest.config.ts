import process from "node:process";
import { configDefaults, defineConfig } from "vitest/config";
import { sources } from "../support/sources.js";

/** The tests that `run.js` has chosen, as Stryker runs them. */
const tests = (process.env.MUTATION_TESTS ?? "").split(",");
const common = {
  exclude: [...configDefaults.exclude, "**/{*imits,types}.test.ts"],
  server: { deps: { inline: ["convex-test"] } },
  testTimeout: 10_000,
  // Functions of the component are loaded within tests, so their constants can be changed.
  isolate: process.env.MUTATION_ISOLATE === "true",
};
const projects = [
  {
    ...common,
    name: "unit",
    environment: "edge-runtime",
    include: tests.filter((file) => !file.startsWith("src/react")),
    setupFiles: ["test/mutation/few-runs.ts"],
  },
  {
    ...common,
    name: "react",
    environment: "jsdom",
    include: tests.filter((file) => file.startsWith("src/react")),
    globalSetup: "test/support/hook-setup.ts",
    setupFiles: ["test/support/patience.ts"],
  },
];

export default defineConfig({
  resolve: { alias: sources },
  test: {
    projects: projects
      .filter(({ include }) => include.length > 0)
      .map((test) => ({ extends: true, test })),
  },
});
