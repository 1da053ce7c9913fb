// @vitest-environment node
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { untilNext } from "./cron-runner.js";
import { startDeployment } from "./deployment.js";
import { api } from "./fixture/api.js";
import { deployForEachTest, eventually } from "./fixture/start.js";

const local = deployForEachTest();
const list = (topic: string) => local.deployment.run(api.notes.list, { topic });

test("a component schedules its own functions", async () => {
  const { deployment } = local;
  await deployment.run(api.notes.countLater, {});
  await eventually(async () =>
    expect(await deployment.run(api.notes.total, {})).toBe(10),
  );
});

test("what was scheduled by a mutation that failed does not run", async () => {
  const { deployment } = local;
  await expect(
    deployment.run(api.notes.addLaterAndFail, { topic: "a", text: "x" }),
  ).rejects.toThrow("rolled back");
  await deployment.run(api.notes.addLater, { topic: "b", text: "x", ms: 0 });
  await eventually(async () => expect(await list("b")).toEqual(["x"]));
  expect(await list("a")).toEqual([]);
});

test("a scheduled mutation whose commit is refused runs again", async () => {
  const { deployment } = local;
  await deployment.run(api.notes.addLater, { topic: "a", text: "x", ms: 50 });
  deployment.faults.set({ refuseCommits: 2 });
  await eventually(async () => expect(await list("a")).toEqual(["x"]));
  expect(deployment.faults.settings.refuseCommits).toBe(0);
});

test("what is due while the backend is down runs when it is back", async () => {
  const { deployment } = local;
  await deployment.run(api.notes.addLater, { topic: "a", text: "x", ms: 30 });
  await deployment.restart({ downMs: 60 });
  await eventually(async () => expect(await list("a")).toEqual(["x"]));
});

test("crons run on their intervals", async () => {
  const deployment = await startDeployment({
    functionsDir: fileURLToPath(new URL("./fixture/ticking", import.meta.url)),
    log: () => {},
  });
  try {
    await eventually(async () =>
      expect(await deployment.call("clock:ticks")).toBeGreaterThan(0),
    );
  } finally {
    await deployment.stop();
  }
});

test("the time until a schedule's next run", () => {
  const now = Date.UTC(2026, 0, 1, 3, 59, 30);
  const second = 1000;
  const cases = [
    [{ type: "interval", minutes: 2 }, 120 * second],
    [{ type: "interval", hours: 1 }, 3600 * second],
    [{ type: "hourly", minuteUTC: 0 }, 30 * second],
    [{ type: "hourly", minuteUTC: 59 }, 3570 * second],
    [{ type: "daily", hourUTC: 4, minuteUTC: 0 }, 30 * second],
    [{ type: "cron", cron: "* * * * *" }, null],
  ] as const;
  for (const [schedule, expected] of cases) {
    expect(untilNext(schedule, now)).toBe(expected);
  }
});
