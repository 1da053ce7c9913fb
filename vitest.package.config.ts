import { defineConfig } from "vitest/config";

/** The package as it would be published: what is in it, and how it does in fresh apps. */
export default defineConfig({
  test: {
    environment: "node",
    include: ["test/package/**/*.test.ts"],
    // They use `import.meta.glob`, which Vite compiles.
    server: {
      deps: { inline: ["convex-test", "persistent-text-streaming-published"] },
    },
    globalSetup: "test/package/pack.ts",
    // Installing takes its time, compiling too.
    testTimeout: 60_000,
    hookTimeout: 120_000,
  },
});
