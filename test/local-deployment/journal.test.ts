// @vitest-environment node
import { appendFile, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { WebSocket } from "ws";
import { startDeployment, type LocalDeployment } from "./deployment.js";
import { gates } from "./fixture/gates.js";
import { eventually, functionsDir, notes } from "./fixture/start.js";
import { Journal, type Entry } from "./journal.js";

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
  deployment = await startDeployment({ functionsDir, log: () => {}, data });
  return deployment;
}

const list = (topic: string) => deployment!.run(notes.list, { topic });
const add = (text: string) => deployment!.run(notes.add, { topic: "a", text });
const addLater = (text: string, ms: number) =>
  deployment!.call("notes:addLater", { topic: "a", text, ms });

describe("the journal", () => {
  const entry = (at: number): Entry => ({
    at,
    writes: [{ component: "", id: `${at}notes`, doc: { text: "字\n🎭" } }],
    jobs: [],
  });

  test("returns what was written, wherever the last line was torn", async () => {
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
  test("has the documents that were committed, and gives out no id twice", async () => {
    const ids: unknown[] = [];
    await next();
    await add("字符串 🎭");
    for (let round = 0; round < 3; round++) {
      const id = await deployment!.call("notes:insert", { text: "x" });
      await deployment!.call("notes:remove", { id });
      ids.push(id);
      await expect(
        deployment!.call("notes:fail", { topic: "a" }),
      ).rejects.toThrow();
      await next();
    }
    expect(new Set(ids).size).toBe(3);
    expect(await list("a")).toEqual(["字符串 🎭"]);
  });

  test("runs the mutations that were scheduled once, whatever the last commit was that the process made", async () => {
    await next();
    for (const text of ["one", "two"]) await addLater(text, 0);
    await eventually(async () => expect(await list("a")).toHaveLength(2));
    await addLater("later", 60_000);
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
      await next();
      deployment!.setClock(61_000);
      await eventually(async () => {
        const states = await deployment!.call("notes:scheduledStates");
        expect(states).toEqual(scheduled.map(() => "success"));
      });
      expect((await list("a")).toSorted()).toEqual(
        scheduled.map(({ args }) => (args as { text: string }).text).toSorted(),
      );
    }
  });

  test("does not run an action again that was running", async () => {
    await next();
    await deployment!.call("notes:waitLater");
    await gates.passed("waits");
    const path = join(data, "journal.jsonl");
    const atThatMoment = await readFile(path);
    await deployment!.stop();
    deployment = undefined;
    await writeFile(path, atThatMoment);
    await next();
    await eventually(async () =>
      expect(await deployment!.call("notes:scheduledStates")).toEqual([
        "failed",
      ]),
    );
    expect(await list("waits")).toEqual(["begun"]);
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
    expect(await local.call("notes:everything")).toBe(1);
  });

  test("does not commit what cannot be written down", async () => {
    await next();
    await add("kept");
    const append = vi.spyOn(Journal.prototype, "append");
    append.mockImplementationOnce(() => {
      throw new Error("The disk is full.");
    });
    await expect(add("lost")).rejects.toThrow("disk is full");
    append.mockRestore();
    expect(await list("a")).toEqual(["kept"]);
  });
});
