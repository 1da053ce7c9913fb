/**
 * docs/clients.md has a table of what is tested, with the versions that are
 * installed. `WRITE=1 npx vitest run --project clients table` writes it.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { format } from "prettier";
import { expect, test } from "vitest";
import { kinds } from "./kinds.js";

const path = (name: string) =>
  fileURLToPath(new URL(`../../${name}`, import.meta.url));
const version = (name: string) =>
  (
    JSON.parse(
      readFileSync(path(`node_modules/${name}/package.json`), "utf8"),
    ) as { version: string }
  ).version;
/** The versions of a package may move within their minor version without the table. */
const minor = (name: string) => version(name).split(".").slice(0, 2).join(".");

const DEBIAN = "Debian 12's";
/** The clients of `clients.test.ts`: the first words of their names, versions, and what reads there. */
const rows: [string, string, string][] = [
  [
    "React 19",
    `${minor("react")}, \`ConvexReactClient\` ${minor("convex")}`,
    "`useStream`, production; development in StrictMode",
  ],
  ["React 18", "18.3", "`useStream`, production; development in StrictMode"],
  ["Chromium", DEBIAN, "`useStream`, `readStream`"],
  ["Firefox", `${DEBIAN} (ESR)`, "`useStream`, `readStream`"],
  ["WebKit", `${DEBIAN} (WebKitGTK)`, "`useStream`, `readStream`"],
  ["A page without a bundler", "an import map", "`readStream`"],
  ["Vue", minor("vue"), "`watchStream`"],
  ["Svelte", minor("svelte"), "`watchStream`"],
  ["Solid", minor("solid-js"), "`watchStream`"],
  [
    "React Native",
    "0.76, 0.79, 0.83",
    "`useStream`, `readStream`, also with `expo/fetch`",
  ],
  ["Node", "20, 22, 24", "`readStream`"],
  [
    "Edge runtime",
    `\`@edge-runtime/vm\` ${minor("@edge-runtime/vm")}`,
    "`readStream`",
  ],
  ["curl", DEBIAN, "the routes"],
];
/** What has tests of its own. */
const others: [string, string, string][] = [
  ["Next.js", "16", "the quick start: built, rendered on the server, hydrated"],
  [
    "AI SDK 5",
    `\`@ai-sdk/react\` ${minor("ai-sdk-react-5")}`,
    "`PersistentChatTransport`",
  ],
  [
    "AI SDK 6",
    `\`@ai-sdk/react\` ${minor("@ai-sdk/react")}`,
    "`PersistentChatTransport`",
  ],
  [
    "AI SDK 7",
    `\`@ai-sdk/react\` ${minor("ai-sdk-react-7")}`,
    "`PersistentChatTransport`",
  ],
  [
    "nginx, with and without its buffers",
    DEBIAN,
    "`readStream` through a proxy",
  ],
  [
    "Express's `compression`",
    minor("compression"),
    "`readStream` through a proxy",
  ],
  [
    "Durable Streams",
    `client ${minor("@durable-streams/client")}, conformance suite ${minor("@durable-streams/server-conformance-tests")}`,
    "`serveDurableStream`",
  ],
];

test("docs/clients.md has a line for each client", async () => {
  const names = kinds.map(({ name }) => name);
  expect(
    names.filter((name) => !rows.some(([row]) => name.startsWith(row))),
  ).toEqual([]);
  expect(
    rows.filter(([row]) => !names.some((name) => name.startsWith(row))),
  ).toEqual([]);

  const lines = [
    ["Client", "Version", "What reads"],
    ["---", "---", "---"],
    ...rows,
    ...others,
  ].map((cells) => `| ${cells.join(" | ")} |`);
  const table = await format(lines.join("\n"), { parser: "markdown" });
  const file = path("docs/clients.md");
  const text = readFileSync(file, "utf8");
  const updated = text.replace(/^\| Client [^]*?\n(?!\|)/m, () => table);
  if (process.env.WRITE) writeFileSync(file, updated);
  else expect(text).toBe(updated);
});
