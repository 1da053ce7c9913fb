import process from "node:process";
import { configDefaults, defineConfig } from "vitest/config";
import { sources } from "../support/sources.js";

/** The tests that `run.js` has chosen, as Stryker runs them. */
const tests = (process.env.MUTATION_TESTS ?? "").split(",");
const common = {
  exclude: [...configDefaults.exclude, "**/{*imits,types}.test.ts"],
  server: { deps: { inline: ["convex-test"] } },
  testTimeout: 120_000,
  isolate: false,
};
const projects = [
  {
    ...common,
    name: "unit",
    environment: "edge-runtime",
    include: tests.filter((file) => !file.startsWith("src/react")),
    setupFiles: [
      "test/mutation/few-runs.ts",
      // Otherwise it would be loaded by a test, which would seem to be the only one to use its constants.
      "src/component/lib.ts",
    ],
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
