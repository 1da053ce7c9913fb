/**
 * Data of 0.3 under this version: the app of 0.3 writes streams on a local deployment,
 * which is then started again on the same data with this package.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Value } from "convex/values";
import { afterAll, beforeAll, expect, inject, test, vi } from "vitest";
import { savedDocuments } from "../browser/kill/killed-deployment.js";
import {
  startDeployment,
  type LocalDeployment,
} from "../local-deployment/deployment.js";
import { installApp, publishedPackage } from "./fresh-app.js";

const MINUTE = 60_000;
const options = { component: "persistentTextStreaming" };

/** The text of a long stream, in as many rows as sentences. */
const SENTENCES = Array.from(
  { length: 300 },
  (_, i) => `Sentence ${i} is 字符串 and 🎭. `,
);
const TEXT = SENTENCES.join("");

const data = mkdtempSync(join(tmpdir(), "upgrade-"));
const ids = new Map<string, string>();
const before = new Map<string, Value>();
let deployment: LocalDeployment;

const call = (name: string, args: Record<string, Value> = {}) =>
  deployment.call(`patterns:${name}`, args);
const lib = (name: string, args: Record<string, Value>) =>
  deployment.call(`lib:${name}`, args, options);
const idOf = (name: string) => ids.get(name)!;
const bodyOf = (name: string) => call("body", { streamId: idOf(name) });
const add = (name: string, text: string) =>
  call("add", { streamId: idOf(name), text });
async function post(name: string) {
  const body = JSON.stringify({ streamId: idOf(name) });
  const url = `${deployment.siteUrl}/write`;
  const response = await fetch(url, { method: "POST", body });
  return { status: response.status, text: await response.text() };
}
const rowsOf = async (name: string) => {
  const rows = await savedDocuments(data, "chunks");
  return rows.filter(({ streamId }) => streamId === idOf(name));
};

beforeAll(async () => {
  const { folder } = inject("packed");
  const start = async (name: string, installed: string) =>
    startDeployment({ ...installApp(name, installed).options, data });
  deployment = await start("upgraded-before", publishedPackage);
  const long = ["streaming", "continued", "deleted"];
  const others = ["pending", "claimed", "alive", "done", "empty"];
  for (const name of [...long, ...others, "error", "timeout"]) {
    ids.set(name, (await call("create")) as string);
  }
  // The rows of streams that are written at the same time alternate.
  for (const sentence of SENTENCES) {
    for (const name of long) await add(name, sentence);
  }
  await add("alive", "Hi. ");
  await post("done");
  await lib("addChunk", { streamId: idOf("empty"), text: "", final: true });
  for (const status of ["error", "timeout"]) {
    await add(status, "It broke o");
    await call("end", { streamId: idOf(status), status });
  }
  for (const name of ids.keys()) before.set(name, await bodyOf(name));
  // The rest of this deletion is left to the new version.
  const only = "_deleteChunksPage";
  deployment.faults.set({ refuseCommits: Infinity, only });
  await call("remove", { streamId: idOf("deleted") });
  await deployment.stop();
  expect(await rowsOf("deleted")).not.toEqual([]);
  deployment = await start("upgraded-after", folder);
});
afterAll(async () => {
  await deployment?.stop();
  rmSync(data, { recursive: true });
});

test("every stream has its text and status", async () => {
  const statuses = new Set<string>();
  for (const [name, streamId] of ids) {
    if (name === "deleted") continue;
    const body = (await bodyOf(name)) as { text: string; status: string };
    expect(body).toEqual(before.get(name));
    expect(await lib("getStreamText", { streamId })).toEqual(body);
    statuses.add(body.status);
  }
  expect(statuses.size).toBe(5);
  expect(await bodyOf("streaming")).toMatchObject({ text: TEXT });
});

test.each([0, 1, 500, 5000, TEXT.length])(
  "old text can be read from offset %i",
  async (from) => {
    const page = (await lib("read", {
      streamId: idOf("streaming"),
      from,
    })) as { text: string; from: number };
    expect(page.text).toBe(TEXT.slice(page.from));
    expect(from - page.from).toBeLessThan(2);
  },
);

test("a stream that was being written continues", async () => {
  const streamId = idOf("continued");
  await add("continued", "More. ");
  await lib("addChunk", { streamId, text: "The end.", final: true });
  const text = `${TEXT}More. The end.`;
  expect(await bodyOf("continued")).toEqual({ text, status: "done" });
});

test("a pending stream is claimed and written, a started one is not", async () => {
  const { status, text } = await post("claimed");
  expect(status).toBe(200);
  expect(await bodyOf("claimed")).toEqual({ text, status: "done" });
  for (const name of ["streaming", "done", "error", "timeout"]) {
    expect((await post(name)).status).toBe(205);
  }
});

test("a deletion that 0.3 began is finished", async () => {
  await vi.waitFor(async () => expect(await rowsOf("deleted")).toEqual([]));
  expect(await bodyOf("streaming")).toMatchObject({ text: TEXT });
});

test("silent streams time out and keep their text; then every stream can be deleted", async () => {
  deployment.setClock(19 * MINUTE);
  await add("alive", "Still here.");
  deployment.setClock(22 * MINUTE);
  await vi.waitFor(async () => {
    expect(await bodyOf("pending")).toEqual({ text: "", status: "timeout" });
    const timedOut = { text: TEXT, status: "timeout" };
    expect(await bodyOf("streaming")).toEqual(timedOut);
  });
  expect(await bodyOf("alive")).toMatchObject({ status: "streaming" });

  for (const streamId of ids.values()) await call("remove", { streamId });
  await vi.waitFor(async () =>
    expect(await savedDocuments(data, "chunks")).toEqual([]),
  );
  for (const name of ids.keys()) {
    expect(await bodyOf(name)).toEqual({ text: "", status: "error" });
  }
});
