/**
 * Data of 0.3 under this version: the app of 0.3 writes streams on a local deployment,
 * which is then started again on the same data with this package.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, inject, test, vi } from "vitest";
import { Journal } from "../local-deployment/journal.js";
import {
  publishedPackage,
  startOldApp,
  type Body,
  type OldApp,
} from "./old-app.js";

const MINUTE = 60_000;
/** On an idle machine, waits end much sooner. */
const PATIENCE = { timeout: 30_000 };

/** The text of a long stream, in as many rows as sentences. */
const SENTENCES = Array.from(
  { length: 300 },
  (_, i) => `Sentence ${i} is 字符串 and 🎭. `,
);
const TEXT = SENTENCES.join("");

const data = mkdtempSync(join(tmpdir(), "upgrade-"));
const ids = new Map<string, string>();
const before = new Map<string, Body>();
let app: OldApp;

const idOf = (name: string) => ids.get(name)!;
const bodyOf = (name: string) => app.body(idOf(name));
async function post(name: string) {
  const response = await app.post(idOf(name));
  return { status: response.status, text: await response.text() };
}
/** The component's rows of text, as a deployment started now would find them. */
function savedRows() {
  const journal = new Journal(data);
  journal.close();
  const rows = new Map<string, { streamId: string }>();
  for (const { id, doc } of journal.entries.flatMap(({ writes }) => writes)) {
    if (!id.endsWith("chunks")) continue;
    if (doc === null) rows.delete(id);
    else rows.set(id, doc as never);
  }
  return [...rows.values()];
}
const rowsOf = (name: string) =>
  savedRows().filter(({ streamId }) => streamId === idOf(name));

beforeAll(async () => {
  app = await startOldApp("upgraded-before", publishedPackage, data);
  const long = ["streaming", "continued", "deleted"];
  const others = ["pending", "claimed", "alive", "done", "empty"];
  for (const name of [...long, ...others, "error", "timeout"]) {
    ids.set(name, await app.create());
  }
  // The rows of streams that are written at the same time alternate.
  for (const sentence of SENTENCES) {
    for (const name of long) await app.add(idOf(name), sentence);
  }
  await app.add(idOf("alive"), "Hi. ");
  await post("done");
  await app.lib("addChunk", { streamId: idOf("empty"), text: "", final: true });
  for (const status of ["error", "timeout"]) {
    await app.add(idOf(status), "It broke o");
    await app.end(idOf(status), status);
  }
  for (const name of ids.keys()) before.set(name, await bodyOf(name));
  // The rest of this deletion is left to the new version.
  const only = "_deleteChunksPage";
  app.deployment.faults.set({ refuseCommits: Infinity, only });
  await app.remove(idOf("deleted"));
  await app.deployment.stop();
  expect(rowsOf("deleted")).not.toEqual([]);
  app = await startOldApp("upgraded-after", inject("packed").folder, data);
});
afterAll(async () => {
  await app?.deployment.stop();
  rmSync(data, { recursive: true });
});

test("every stream has its text and status", async () => {
  const statuses = new Set<string>();
  for (const [name, streamId] of ids) {
    if (name === "deleted") continue;
    const body = await bodyOf(name);
    expect(body).toEqual(before.get(name));
    expect(await app.lib("getStreamText", { streamId })).toEqual(body);
    statuses.add(body.status);
  }
  expect(statuses.size).toBe(5);
  expect(await bodyOf("streaming")).toMatchObject({ text: TEXT });
});

test("a stream that was being written continues", async () => {
  const streamId = idOf("continued");
  await app.add(streamId, "More. ");
  await app.lib("addChunk", { streamId, text: "The end.", final: true });
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
  await vi.waitFor(() => expect(rowsOf("deleted")).toHaveLength(0), PATIENCE);
  expect(await bodyOf("streaming")).toMatchObject({ text: TEXT });
});

test("silent streams time out and keep their text; then every stream can be deleted", async () => {
  app.deployment.setClock(19 * MINUTE);
  await app.add(idOf("alive"), "Still here.");
  app.deployment.setClock(22 * MINUTE);
  await vi.waitFor(async () => {
    expect(await bodyOf("pending")).toEqual({ text: "", status: "timeout" });
    const timedOut = { text: TEXT, status: "timeout" };
    expect(await bodyOf("streaming")).toEqual(timedOut);
  }, PATIENCE);
  expect(await bodyOf("alive")).toMatchObject({ status: "streaming" });

  for (const streamId of ids.values()) await app.remove(streamId);
  await vi.waitFor(() => expect(savedRows()).toHaveLength(0), PATIENCE);
  for (const name of ids.keys()) {
    expect(await bodyOf(name)).toEqual({ text: "", status: "error" });
  }
});
