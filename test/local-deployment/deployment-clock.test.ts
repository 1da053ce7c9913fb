// @vitest-environment node
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { startDeployment } from "./deployment.js";
import { deployForEachTest, eventually } from "./fixture/start.js";

const local = deployForEachTest();
const HOUR = 3_600_000;

interface Times {
  now: number;
  made: number;
  ofDate: string;
  created: number;
  given: number;
}

test("what functions take for the present is the deployment's time, and nobody else's", async () => {
  const other = await startDeployment({
    functionsDir: fileURLToPath(new URL("./fixture/app", import.meta.url)),
    components: {
      counter: fileURLToPath(new URL("./fixture/component", import.meta.url)),
    },
    log: () => {},
  });
  const machineDate = Date;
  const before = Date.now();
  local.deployment.setClock(HOUR);
  for (const [deployment, ahead] of [
    [local.deployment, HOUR],
    [other, 0],
  ] as const) {
    const times = (await deployment.call("notes:times")) as unknown as Times;
    for (const time of [
      times.now,
      times.made,
      times.created,
      // To the second, and in words.
      Date.parse(times.ofDate) + 1000,
    ]) {
      expect(time).toBeGreaterThanOrEqual(before + ahead);
      expect(time).toBeLessThan(before + ahead + 60_000);
    }
    expect(times.given).toBe(5);
  }
  expect(Date.now()).toBeLessThan(before + 60_000);
  expect(new Date()).toBeInstanceOf(machineDate);
  await other.stop();
  local.deployment.setClock(0);
  expect(Date).toBe(machineDate);
});

test("a cron that is due by the clock runs at once, and once", async () => {
  const { deployment } = local;
  const ticks = async () =>
    ((await deployment.call("notes:ticks")) as []).length;
  deployment.setClock(24 * HOUR);
  await eventually(async () => expect(await ticks()).toBe(1));
  deployment.setClock(24 * HOUR + 1);
  deployment.setClock(48 * HOUR + 1);
  await eventually(async () => expect(await ticks()).toBe(2));
});

test("what is scheduled runs when it is due by the clock", async () => {
  const { deployment } = local;
  const args = { topic: "a", text: "x", ms: HOUR };
  await deployment.call("notes:addLater", args);
  deployment.setClock(HOUR - 60_000);
  expect(await deployment.call("notes:list", { topic: "a" })).toEqual([]);
  deployment.setClock(HOUR + 1);
  await eventually(async () =>
    expect(await deployment.call("notes:list", { topic: "a" })).toEqual(["x"]),
  );
});

test("it is set from other processes, too", async () => {
  const set = (body: object) =>
    fetch(new URL("/_local/clock", local.deployment.siteUrl), {
      method: "POST",
      body: JSON.stringify(body),
    });
  expect((await set({ aheadMs: HOUR })).status).toBe(200);
  const { now } = (await local.deployment.call(
    "notes:times",
  )) as unknown as Times;
  expect(now).toBeGreaterThan(Date.now() + HOUR - 60_000);
  expect((await set({ ahead: 1 })).status).toBe(400);
});
