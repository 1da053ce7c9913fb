import { defineConfig } from "vitest/config";

/** The published suite of Durable Streams, and its client, against an app on the local deployment. */
export default defineConfig({
  test: {
    environment: "node",
    include: ["test/conformance/**/*.test.ts"],
    globalSetup: "test/conformance/global-setup.ts",
    // Some wait until a long-poll has nothing to say, which takes 20 s.
    testTimeout: 40_000,
    sequence: { concurrent: true },
    maxConcurrency: 4,
  },
});
