import { defineConfig } from "vitest/config";
import { sources } from "./src/testing/sources.js";

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
            "src/{component,client,browser}/**/*.test.ts",
            "src/*.test.ts",
            "src/testing/**/*.test.ts",
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
          include: ["src/react/**/*.test.{ts,tsx}"],
          globalSetup: "src/testing/deployment.ts",
          // They cut connections, and share the deployment.
          fileParallelism: false,
        },
      },
      {
        extends: true,
        test: {
          name: "node",
          environment: "node",
          include: ["example/local/**/*.test.ts", "bench/**/*.test.ts"],
        },
      },
    ],
    typecheck: { enabled: false },
    coverage: { include: ["src/**"], exclude: ["src/**/_generated/**"] },
  },
});
