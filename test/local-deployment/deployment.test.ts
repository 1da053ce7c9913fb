// @vitest-environment node
import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { ConvexClient } from "convex/browser";
import { describe, expect, test } from "vitest";
import { WebSocket } from "ws";
import { startDeployment } from "./deployment.js";
import { api } from "./fixture/api.js";
import { eventually, told } from "./fixture/start.js";

const folder = (path: string) =>
  fileURLToPath(new URL(`./fixture/${path}`, import.meta.url));

async function start(options: { port?: number; log?: (line: string) => void }) {
  return await startDeployment({
    functionsDir: folder("app"),
    components: { counter: folder("component") },
    log: () => {},
    ...options,
  });
}

describe("starting", () => {
  test("a port that is taken is an error, and nothing stays open", async () => {
    const first = await start({});
    const port = Number(new URL(first.url).port);
    await expect(start({ port })).rejects.toMatchObject({ code: "EADDRINUSE" });
    await first.stop();
  });
});

describe("stopping", () => {
  test("ports are closed and the process's listeners are as they were", async () => {
    const listeners = () => [
      process.rawListeners("unhandledRejection"),
      process.rawListeners("uncaughtException"),
    ];
    const before = listeners();
    const deployment = await start({});
    expect(listeners()).not.toEqual(before);
    await deployment.stop();
    await deployment.stop();
    expect(listeners()).toEqual(before);
    await expect(fetch(deployment.url)).rejects.toThrow();
    await expect(fetch(deployment.siteUrl)).rejects.toThrow();
  });

  test("nothing keeps the process alive", async () => {
    const run = promisify(execFile);
    const { stdout } = await run(
      process.execPath,
      ["--import", "tsx", folder("exits.ts")],
      { timeout: 20_000 },
    );
    expect(stdout).toContain("Local deployment at");
  }, 30_000);

  test("a client of a deployment that is gone goes over to a new one on its port", async () => {
    const old = await start({});
    const port = Number(new URL(old.url).port);
    const client = new ConvexClient(old.url, {
      webSocketConstructor: WebSocket as unknown as typeof globalThis.WebSocket,
      logger: false,
      unsavedChangesWarning: false,
    });
    const lists = told<string[]>((onValue, onError) =>
      client.onUpdate(api.notes.list, { topic: "a" }, onValue, onError),
    );
    await client.mutation(api.notes.add, { topic: "a", text: "old" });
    await eventually(() => expect(lists.at(-1)).toEqual(["old"]));
    await old.stop();
    const next = await start({ port });
    // A new deployment is empty.
    await eventually(() => expect(lists.at(-1)).toEqual([]));
    await client.mutation(api.notes.add, { topic: "a", text: "new" });
    await eventually(() => expect(lists.at(-1)).toEqual(["new"]));
    await client.close();
    await next.stop();
  });
});
