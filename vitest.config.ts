import { availableParallelism } from "node:os";
import { transformAsync } from "@babel/core";
import { configDefaults, defineConfig } from "vitest/config";
import { sources } from "./test/support/sources.js";

/**
 * Each npm script runs some of these projects (see CONTRIBUTING.md). `npm test`
 * runs `unit` and `react`, what a contributor runs at each save.
 */

/** Texts up to the limits of a deployment take long, so they have a script of their own. */
const limits = [
  "src/client/limits.test.ts",
  "test/component/*Limits.test.ts",
  "test/support/*-limits.test.ts",
];

/** For a busy machine. On an idle one, waits end much sooner. */
const patience = { timeout: 60_000, interval: 50 };

/** Runs React Compiler over a file. */
const compiled = (name: string) => ({
  name: "react-compiler",
  enforce: "pre" as const,
  transform: (code: string, id: string) =>
    id.endsWith(name)
      ? transformAsync(code, {
          filename: id,
          babelrc: false,
          configFile: false,
          sourceMaps: true,
          parserOpts: { plugins: ["typescript", "jsx"] },
          plugins: ["babel-plugin-react-compiler"],
        })
      : undefined,
});

export default defineConfig({
  resolve: { alias: sources },
  test: {
    // More than there are cores: the tests of the hooks wait more than they work.
    maxWorkers: availableParallelism() + 2,
    // Nothing takes nearly as long, but a busy machine may.
    testTimeout: 60_000,
    hookTimeout: 60_000,
    // What a backend logs of writers that fail, as many here are told to.
    onConsoleLog: (log) => !/^Stream \S+ ended with an error/.test(log),
    server: { deps: { inline: ["convex-test"] } },
    projects: [
      {
        extends: true,
        test: {
          name: "unit",
          environment: "edge-runtime",
          include: [
            "src/{client,browser,durable,ai,fakes}/**/*.test.ts",
            "src/*.test.ts",
            "test/{component,support,layout}/**/*.test.ts",
            "example/convex/**/*.test.ts",
          ],
          exclude: [...configDefaults.exclude, ...limits],
        },
      },
      {
        extends: true,
        // This one's components as apps with React Compiler ship them.
        plugins: [compiled("mounting.test.tsx")],
        test: {
          name: "react",
          environment: "jsdom",
          include: ["src/react/**/*.test.{ts,tsx}"],
          globalSetup: "test/support/hook-setup.ts",
          setupFiles: "test/support/patience.ts",
        },
      },
      {
        // The oldest version of React that is supported.
        extends: true,
        resolve: {
          alias: [{ find: /^(react|react-dom)(?=$|\/)/, replacement: "$1-18" }],
        },
        test: {
          name: "react-18",
          environment: "jsdom",
          include: ["src/react/mounting.test.tsx"],
          globalSetup: "test/support/hook-setup.ts",
          setupFiles: ["test/support/react-18.ts", "test/support/patience.ts"],
          server: { deps: { inline: ["convex"] } },
        },
      },
      {
        extends: true,
        test: { name: "limits", environment: "edge-runtime", include: limits },
      },
      {
        extends: true,
        test: {
          name: "faults",
          environment: "jsdom",
          include: ["test/lab/*.test.ts"],
        },
      },
      {
        extends: true,
        test: {
          name: "local",
          include: ["test/{local-deployment,runtime}/**/*.test.ts"],
        },
      },
      {
        extends: true,
        test: {
          // A deployment may be far away, and busy.
          name: "deployment",
          include: ["test/deployment/**/*.test.ts"],
          testTimeout: 180_000,
        },
      },
      {
        extends: true,
        test: { name: "bench", include: ["bench/**/*.test.ts"] },
      },
      {
        extends: true,
        test: {
          // They start processes again and again.
          name: "kills",
          include: ["test/browser/kill.test.ts"],
          testTimeout: 180_000,
          hookTimeout: 180_000,
          expect: { poll: patience },
        },
      },
      {
        test: {
          // They start the demo and drive Chromium.
          name: "browser",
          include: ["test/browser/**/*.test.ts"],
          exclude: [...configDefaults.exclude, "test/browser/kill.test.ts"],
          // Each file starts a demo and a browser of its own, which is work for a machine.
          fileParallelism: false,
          testTimeout: 120_000,
          hookTimeout: 120_000,
          expect: { poll: patience },
        },
      },
      {
        extends: true,
        test: {
          // Every client of docs/clients.md, against the local deployment.
          name: "clients",
          include: ["test/clients/**/*.test.{ts,tsx}"],
          globalSetup: "test/support/hook-setup.ts",
          fileParallelism: false,
          testTimeout: 120_000,
          // 27 clients read 2 MB at once, which takes a busy machine minutes.
          hookTimeout: 400_000,
          expect: { poll: patience },
        },
      },
      {
        test: {
          // The published suite of Durable Streams, and its client.
          name: "conformance",
          include: ["test/conformance/**/*.test.ts"],
          // Some wait until a long-poll has nothing to say, which takes 20 s.
          testTimeout: 40_000,
          sequence: { concurrent: true },
          maxConcurrency: 4,
        },
      },
      {
        // The unpacked package is in a folder for temporary files.
        server: { fs: { strict: false } },
        test: {
          // The packed package: what is in it, and how it does in fresh apps.
          name: "package",
          include: ["test/package/*.test.{ts,tsx}"],
          // They use `import.meta.glob`, which Vite compiles.
          server: {
            deps: {
              inline: ["convex-test", "persistent-text-streaming-published"],
            },
          },
          globalSetup: "test/package/pack.ts",
          // Installing takes its time, compiling too.
          testTimeout: 60_000,
          hookTimeout: 120_000,
        },
      },
    ],
    coverage: { include: ["src/**"], exclude: ["src/**/_generated/**"] },
  },
});
