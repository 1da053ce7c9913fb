import { defineConfig } from "vitest/config";
import { sources } from "./test/support/sources.js";

export default defineConfig({
  resolve: { alias: sources },
  test: {
    // On two cores, Vitest would leave one idle.
    maxWorkers: "100%",
    // Nothing takes nearly as long, but a busy machine may.
    testTimeout: 60_000,
    hookTimeout: 60_000,
    projects: [
      {
        extends: true,
        test: {
          name: "convex",
          environment: "edge-runtime",
          include: [
            "src/{client,browser}/**/*.test.ts",
            "src/*.test.ts",
            "test/{component,lab,support}/**/*.test.ts",
            "example/convex/**/*.test.ts",
          ],
          server: { deps: { inline: ["convex-test"] } },
        },
      },
      {
        extends: true,
        test: {
          name: "react",
          environment: "jsdom",
          include: ["src/react/**/*.test.{ts,tsx}", "test/lab/**/*.test.tsx"],
          globalSetup: "test/support/hook-setup.ts",
          // They cut connections, and share the deployment.
          fileParallelism: false,
        },
      },
      {
        extends: true,
        test: {
          name: "node",
          environment: "node",
          include: [
            "test/*.test.ts",
            "test/local-deployment/**/*.test.ts",
            "bench/**/*.test.ts",
          ],
        },
      },
    ],
    typecheck: { enabled: false },
    coverage: { include: ["src/**"], exclude: ["src/**/_generated/**"] },
  },
});
