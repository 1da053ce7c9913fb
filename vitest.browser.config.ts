import { defineConfig } from "vitest/config";

/** The tests in a real browser: they start the demo and drive Chromium. */
export default defineConfig({
  test: {
    environment: "node",
    include: ["test/{browser,clients}/**/*.test.ts"],
    // Each file starts a demo and a browser of its own, which is work for a machine.
    fileParallelism: false,
    // Nothing takes nearly as long, but a busy machine may.
    testTimeout: 120_000,
    hookTimeout: 120_000,
    // What a backend logs of writers that fail, as many here are told to.
    onConsoleLog: (log) => !/^Stream \S+ ended with an error/.test(log),
  },
});
