import { configDefaults, defineConfig } from "vitest/config";
import { sources } from "../support/sources.js";

/** The tests of `npm test` that need no browser and no deployment, as Stryker runs them. */
export default defineConfig({
  resolve: { alias: sources },
  test: {
    environment: "edge-runtime",
    include: [
      "src/{client,browser,durable,ai}/**/*.test.ts",
      "src/*.test.ts",
      "test/component/**/*.test.ts",
    ],
    exclude: [
      ...configDefaults.exclude,
      "**/*imits.test.ts",
      "**/types.test.ts",
    ],
    server: { deps: { inline: ["convex-test"] } },
    testTimeout: 60_000,
  },
});
