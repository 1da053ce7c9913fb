/** docs/clients.md names what is tested, with the versions that are installed. */
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";

const read = (path: string) =>
  readFileSync(
    fileURLToPath(new URL(`../../${path}`, import.meta.url)),
    "utf8",
  );
const version = (name: string) =>
  (JSON.parse(read(`node_modules/${name}/package.json`)) as { version: string })
    .version;
/** The versions of a package may move within their minor version without the table. */
const minor = (name: string) => version(name).split(".").slice(0, 2).join(".");

/** Client, version, where its tests are. */
const rows: [string, string, string][] = [
  [
    "React, in Debian's Chromium",
    `${minor("react")}, \`ConvexReactClient\` ${minor("convex")}`,
    "test/clients/clients.test.ts",
  ],
  ["`readStream` in Chromium", "Debian's", "test/clients/clients.test.ts"],
  ["`readStream` in Node", "20.19 and later", "test/clients/clients.test.ts"],
  [
    "`readStream` in an edge runtime",
    `\`@edge-runtime/vm\` ${minor("@edge-runtime/vm")}`,
    "test/clients/clients.test.ts",
  ],
  ["curl", "Debian's", "test/clients/clients.test.ts"],
  [
    "`readStream` behind nginx, also where it keeps its buffers",
    "Debian's",
    "test/clients/proxies.test.ts",
  ],
  [
    "`readStream` behind Express's `compression`",
    minor("compression"),
    "test/clients/proxies.test.ts",
  ],
  [
    "`readStream` where a response has no body",
    "as React Native's `fetch`",
    "src/browser/read-stream.test.ts",
  ],
  [
    "AI SDK 5",
    `\`@ai-sdk/react\` ${minor("ai-sdk-react-5")}`,
    "test/clients/aiSdk.test.tsx",
  ],
  [
    "AI SDK 6",
    `\`@ai-sdk/react\` ${minor("@ai-sdk/react")}`,
    "test/clients/aiSdk.test.tsx",
  ],
  [
    "AI SDK 7",
    `\`@ai-sdk/react\` ${minor("ai-sdk-react-7")}`,
    "test/clients/aiSdk.test.tsx",
  ],
  [
    "Durable Streams",
    `client ${minor("@durable-streams/client")}, conformance suite ${minor("@durable-streams/server-conformance-tests")}`,
    "test/conformance",
  ],
];

test("docs/clients.md has a line for each client", () => {
  const words = read("docs/clients.md").replace(/[ ]+/g, " ");
  const missing = rows
    .map((row) => `| ${row.join(" | ")} |`)
    .filter((line) => !words.includes(line));
  expect(missing).toEqual([]);
});
