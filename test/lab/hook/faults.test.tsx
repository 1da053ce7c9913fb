/**
 * The hook under random faults, in jsdom. The same schedules run in Chromium:
 * test/browser/hook.test.ts.
 *
 * `FAULT_RUNS` and `FAULT_SEED`: how many schedules, and from which on.
 */
import { ConvexReactClient } from "convex/react";
import { afterAll, beforeAll, expect, inject, test, vi } from "vitest";
import { WebSocket } from "ws";
import { Reader } from "../../support/reader.js";
import { runSchedules } from "./many.js";
import { controlsOf, type Place } from "./place.js";
import { countRemains } from "./remains.js";

const { url, lineUrl } = inject("deployment");
const runs = Number(process.env.FAULT_RUNS ?? 48);
const first = Number(process.env.FAULT_SEED ?? 0);

const clients = [0, 1].map(
  () =>
    new ConvexReactClient(url, {
      webSocketConstructor: WebSocket as never,
      logger: false,
    }),
);
const machineNow = Date.now;
const paint = window.requestAnimationFrame.bind(window);
const remains = countRemains(clients);
let reconnect: ReturnType<typeof setInterval>;

beforeAll(() => {
  // As when a network comes back. Otherwise a client waits for a second or more.
  reconnect = setInterval(() => window.dispatchEvent(new Event("online")), 50);
});
afterAll(async () => {
  clearInterval(reconnect);
  remains.end();
  await Promise.all(clients.map((client) => client.close()));
});

const control = controlsOf(url);
const place: Place = {
  siteUrl: lineUrl,
  control,
  newReader: (props, strict) =>
    new Reader(clients[props.driven ? 0 : 1]!, props, strict),
  moveClock: (ms) => {
    Date.now = () => machineNow() + ms;
  },
  hide: (hidden) => {
    window.requestAnimationFrame = hidden ? () => 0 : paint;
  },
};

test("whatever goes wrong when, everybody ends with exactly what is saved", async () => {
  const complaints = vi.spyOn(console, "error");
  const { tally } = await runSchedules(
    { first, count: runs, lanes: 8 },
    () => place,
    runs > 100,
  );
  if (runs > 100) console.table(tally.table());
  expect(tally.wrong).toEqual([]);
  expect(complaints.mock.calls).toEqual([]);
  complaints.mockRestore();
  // Nothing stays of readers that are gone.
  await vi.waitFor(
    async () => {
      expect(remains.count()).toEqual({ timers: 0, watches: 0 });
      expect(await control("open")).toMatchObject({
        subscriptions: 0,
        actions: 0,
      });
    },
    { timeout: 10_000 },
  );
}, 3_600_000);
