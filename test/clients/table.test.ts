/** docs/clients.md lists every client, with the versions that are installed. */
import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { kinds } from "./kinds.js";

const read = (name: string) =>
  readFileSync(new URL(`../../${name}`, import.meta.url), "utf8");

/** The version of an installed package, without the patch. */
function minor(name: string): string {
  const manifest = read(`node_modules/${name}/package.json`);
  const { version } = JSON.parse(manifest) as { version: string };
  return version.split(".").slice(0, 2).join(".");
}

/** The table's first two columns. */
const rows = new Map(
  [...read("docs/clients.md").matchAll(/^\| (.*?) +\| (.*?) +\| .*\|$/gm)].map(
    ([, client = "", version = ""]) => [client, version],
  ),
);

test.each(kinds)("$name is in the table", ({ name }) => {
  const clients = [...rows.keys()];
  expect(clients.filter((client) => name.startsWith(client))).toHaveLength(1);
});

test.each([
  ["React 19", "react", "convex"],
  ["Vue", "vue"],
  ["Svelte", "svelte"],
  ["Solid", "solid-js"],
  ["Edge runtime", "@edge-runtime/vm"],
  ["AI SDK 5", "ai-sdk-react-5"],
  ["AI SDK 6", "@ai-sdk/react"],
  ["AI SDK 7", "ai-sdk-react-7"],
  ["Express's `compression`", "compression"],
  [
    "Durable Streams",
    "@durable-streams/client",
    "@durable-streams/server-conformance-tests",
  ],
])("the version of %s is the one that is tested", (client, ...packages) => {
  for (const name of packages) expect(rows.get(client)).toContain(minor(name));
});
