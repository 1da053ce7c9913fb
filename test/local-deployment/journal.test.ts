// @vitest-environment node
import { appendFile, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { WebSocket } from "ws";
import { startDeployment, type LocalDeployment } from "./deployment.js";
import { api } from "./fixture/api.js";
import { gates } from "./fixture/app/gates.js";
import { eventually } from "./fixture/start.js";
import { Journal, type Entry } from "./journal.js";

const folder = (path: string) =>
  fileURLToPath(new URL(`./fixture/${path}`, import.meta.url));

let data: string;
let deployment: LocalDeployment | undefined;

beforeEach(async () => {
  data = await mkdtemp(join(tmpdir(), "journal-"));
});
afterEach(async () => {
  await deployment?.stop();
  deployment = undefined;
  await rm(data, { recursive: true });
});

/** Ends the deployment, if there is one, and starts another with the same folder. */
async function next(): Promise<LocalDeployment> {
  await deployment?.stop();
  deployment = await startDeployment({
    functionsDir: folder("app"),
    components: { counter: folder("component") },
    log: () => {},
    data,
  });
  return deployment;
}

describe("the journal", () => {
  const entry = (at: number): Entry => ({
    at,
    writes: [{ component: "", id: `${at}notes`, doc: { text: "字\n🎭" } }],
    jobs: [],
  });

  test("gives back what was written, wherever the last line was torn", async () => {
    const { journal } = Journal.open(data);
    journal.append(entry(1));
    journal.append(entry(2));
    journal.close();
    const path = join(data, "journal.jsonl");
    const bytes = await readFile(path);
    const first = bytes.indexOf(10) + 1;
    for (let end = first; end <= bytes.length; end++) {
      await writeFile(path, bytes.subarray(0, end));
      const opened = Journal.open(data);
      const whole = end === bytes.length;
      expect(opened.entries).toEqual(whole ? [entry(1), entry(2)] : [entry(1)]);
      // And what is written next follows on what is whole.
      opened.journal.append(entry(3));
      opened.journal.close();
      const again = Journal.open(data);
      again.journal.close();
      expect(again.entries.at(-1)).toEqual(entry(3));
      expect(again.entries).toHaveLength(whole ? 3 : 2);
    }
  });

  test("says so if something else has written to it", async () => {
    await appendFile(join(data, "journal.jsonl"), "not ours\n");
    expect(() => Journal.open(data)).toThrow(/Line 1 of .* is not JSON/);
  });
});

describe("a deployment started again with the same folder", () => {
  test("has the documents that were committed, of the app and of its components", async () => {
    let local = await next();
    await local.run(api.notes.add, { topic: "a", text: "字符串 🎭" });
    await local.run(api.notes.add, { topic: "a", text: "two" });
    await local.run(api.notes.count, {});
    await expect(
      local.run(api.notes.addLaterAndFail, { topic: "a", text: "no" }),
    ).rejects.toThrow("rolled back");
    local = await next();
    expect(await local.run(api.notes.list, { topic: "a" })).toEqual([
      "字符串 🎭",
      "two",
    ]);
    expect(await local.run(api.notes.total, {})).toBe(1);
    await local.run(api.notes.count, {});
    local = await next();
    expect(await local.run(api.notes.total, {})).toBe(2);
  });

  test("gives out no id twice, not even that of a document that was deleted", async () => {
    let local = await next();
    const ids: string[] = [];
    for (let round = 0; round < 3; round++) {
      const id = (await local.call("notes:insert", { text: "x" })) as string;
      await local.call("notes:remove", { id });
      ids.push(id);
      local = await next();
    }
    expect(new Set(ids).size).toBe(3);
  });

  test("runs the mutations that were scheduled, each of them once", async () => {
    let local = await next();
    await local.run(api.notes.addLater, { topic: "a", text: "soon", ms: 0 });
    await eventually(async () =>
      expect(await local.run(api.notes.list, { topic: "a" })).toEqual(["soon"]),
    );
    await local.run(api.notes.addLater, { topic: "a", text: "x", ms: 60_000 });
    await local.run(api.notes.countLater, {});
    for (let round = 0; round < 2; round++) {
      local = await next();
      local.setClock(61_000);
      await eventually(async () => {
        const list = await local.run(api.notes.list, { topic: "a" });
        expect(list).toEqual(["soon", "x"]);
        expect(await local.run(api.notes.total, {})).toBe(10);
      });
    }
  });

  test("runs them once whatever the last commit was that the process made", async () => {
    let local = await next();
    for (const text of ["one", "two", "three"]) {
      await local.run(api.notes.addLater, { topic: "a", text, ms: 0 });
    }
    await eventually(async () =>
      expect(await local.run(api.notes.list, { topic: "a" })).toHaveLength(3),
    );
    await deployment!.stop();
    deployment = undefined;
    const path = join(data, "journal.jsonl");
    const lines = (await readFile(path, "utf8")).split(/(?<=\n)/);
    for (let kept = 0; kept <= lines.length; kept++) {
      const before = lines.slice(0, kept);
      const scheduled = before.flatMap(
        (line) => (JSON.parse(line) as Entry).jobs,
      );
      await writeFile(path, before.join(""));
      local = await next();
      await eventually(async () => {
        const states = (await local.call("notes:scheduledStates")) as string[];
        expect(states).toEqual(scheduled.map(() => "success"));
      });
      const list = await local.run(api.notes.list, { topic: "a" });
      expect(list.toSorted()).toEqual(
        scheduled.map(({ args }) => (args as { text: string }).text).toSorted(),
      );
    }
  });

  test("does not run an action again that was running", async () => {
    let local = await next();
    await local.call("notes:waitLater");
    await eventually(() => expect(gates.hasReached("waits")).toBe(true));
    const path = join(data, "journal.jsonl");
    const atThatMoment = await readFile(path);
    await deployment!.stop();
    deployment = undefined;
    await writeFile(path, atThatMoment);
    local = await next();
    await eventually(async () =>
      expect(await local.call("notes:scheduledStates")).toEqual(["failed"]),
    );
    expect(await local.run(api.notes.everything, {})).toBe(1);
  });

  test("knows the mutations that clients send again, and what they returned", async () => {
    const send = async (local: LocalDeployment) => {
      const socket = new WebSocket(
        `${local.url.replace("http", "ws")}/api/1.0/sync`,
      );
      const answer = new Promise<Record<string, unknown>>((resolve) => {
        socket.on("message", (message: Buffer) => {
          const json = JSON.parse(message.toString("utf8")) as {
            type: string;
          };
          if (json.type === "MutationResponse") resolve(json);
        });
      });
      await new Promise((resolve) => socket.once("open", resolve));
      for (const message of [
        { type: "Connect", sessionId: "s" },
        {
          type: "Mutation",
          requestId: 7,
          udfPath: "notes:insert",
          args: [{ text: "once" }],
        },
      ]) {
        socket.send(JSON.stringify(message));
      }
      const { success, requestId, result } = await answer;
      socket.terminate();
      return { success, requestId, result };
    };
    const first = await send(await next());
    expect(first.success).toBe(true);
    const local = await next();
    expect(await send(local)).toEqual(first);
    expect(await local.run(api.notes.allBlobs, {})).toBe(1);
  });

  test("does not commit what cannot be written down", async () => {
    const local = await next();
    await local.run(api.notes.add, { topic: "a", text: "kept" });
    const append = vi.spyOn(Journal.prototype, "append");
    append.mockImplementationOnce(() => {
      throw new Error("The disk is full.");
    });
    await expect(
      local.run(api.notes.add, { topic: "a", text: "lost" }),
    ).rejects.toThrow("disk is full");
    append.mockRestore();
    expect(await local.run(api.notes.list, { topic: "a" })).toEqual(["kept"]);
  });
});
