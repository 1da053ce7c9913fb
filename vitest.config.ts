import { fileURLToPath } from "node:url";
import { defineConfig } from "vitest/config";

const src = (path: string) =>
  fileURLToPath(new URL(`./src/${path}`, import.meta.url));

// Tests run on the sources, so that no stale build can make them pass.
const alias = [
  ["@convex-dev/persistent-text-streaming/react", "react/index.ts"],
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

export default defineConfig({
  resolve: { alias },
  test: {
    projects: [
      {
        extends: true,
        test: {
          name: "convex",
          environment: "edge-runtime",
          include: [
            "src/{component,client}/**/*.test.ts",
            "src/*.test.ts",
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
