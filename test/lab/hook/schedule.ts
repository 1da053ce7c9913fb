import { randomFrom } from "../../support/random.js";
import type { Reader } from "../../support/reader.js";
import { story } from "../../support/story.js";
import { call, create, pass, type Place } from "./place.js";

/** All that goes wrong, in data: the same for the same seed. */
export interface Schedule {
  seed: number;
  sentences: number;
  /** Milliseconds between tokens. */
  delay: number;
  incremental: boolean;
  strict: boolean;
  /** What becomes of the driver's request, and of the follower's if it makes one; see `line.ts`. */
  requests: { driver: string; follower: string };
  moments: { at: number; what: Happening; by: number }[];
}

const MAX_STOP = 400;

/** What may become of a request: a weight, and what its URL says. */
const requestFaults: [number, (random: () => number) => string][] = [
  [10, () => ""],
  [2, (random) => `pieces=${1 + below(random, 3)}`],
  [2, (random) => `stop=${below(random, MAX_STOP)}&as=cut&pieces=7`],
  [2, (random) => `stop=${below(random, MAX_STOP)}&as=end`],
  [2, (random) => `stop=${below(random, MAX_STOP)}&as=dead`],
  [2, () => "lose=before"],
  [2, () => "lose=after"],
  [2, (random) => `hold=${below(random, 1500)}`],
];

/** What happens to, and to whom. */
export interface Scene {
  schedule: Schedule;
  place: Place;
  streamId: string;
  driver: Reader;
  follower: Reader;
  /** Names this schedule in the URLs of its requests. */
  name: string;
  /** From 0 to 1: how much of it. */
  by: number;
  killed: boolean;
  /** What is to be put right before the end. */
  later: (() => unknown)[];
}

const HOUR = 3_600_000;

/** What may happen in between: a weight, and what it does. */
export const happenings = {
  "cut connections": [
    3,
    ({ place, name }) => place.control("faults", { cutConnections: name }),
  ],
  "drop sockets": [
    3,
    ({ place }) => place.control("faults", { dropSockets: true }),
  ],
  "kill the action": [
    1,
    (scene) => {
      scene.killed = true;
      return scene.place.control("faults", { killActions: scene.name });
    },
  ],
  "restart the deployment": [
    0.15,
    ({ place, by }) => place.control("restart", { downMs: 300 * by }),
  ],
  "commits refused": [
    2,
    ({ place, by }) =>
      place.control("faults", {
        only: by < 0.3 ? "lib:claim" : "lib:append",
        refuseCommits: 1 + Math.floor(3 * by),
      }),
  ],
  "commits without answer": [
    2,
    ({ place, by }) =>
      place.control("faults", {
        only: by < 0.3 ? "lib:claim" : "lib:append",
        loseAnswers: 1 + Math.floor(3 * by),
      }),
  ],
  "commits delayed": [
    2,
    async ({ place, by, later }) => {
      later.push(() => place.control("faults", { commitDelayMs: 0 }));
      await place.control("faults", { commitDelayMs: 600 * by });
    },
  ],
  "query fails": [
    2,
    async (scene) => {
      const { place, streamId, by } = scene;
      await call(place, "chat:trouble", streamId, { on: true });
      await pass(400 * by);
      await call(place, "chat:trouble", streamId, { on: false });
    },
  ],
  "clock ahead": [
    2,
    ({ place, by, later }) => {
      later.push(() => place.moveClock(0));
      place.moveClock(HOUR * by);
    },
  ],
  "clock back": [
    2,
    ({ place, by, later }) => {
      later.push(() => place.moveClock(0));
      place.moveClock(-HOUR * by);
    },
  ],
  "tab hidden": [
    2,
    ({ place, later }) => {
      later.push(() => place.hide(false));
      place.hide(true);
    },
  ],
  "tab shown": [1, ({ place }) => place.hide(false)],
  "another token": [
    2,
    ({ driver, by }) => driver.update({ authToken: String(by) }),
  ],
  "another URL": [2, (scene) => scene.driver.update({ url: urlOf(scene) })],
  "driver follows": [2, ({ driver }) => driver.update({ driven: false })],
  "driver drives": [2, ({ driver }) => driver.update({ driven: true })],
  "follower drives": [2, ({ follower }) => follower.update({ driven: true })],
  "another query": [
    2,
    ({ driver, follower, schedule, by }) =>
      (by < 0.5 ? driver : follower).update({
        incremental: !schedule.incremental,
      }),
  ],
  "query as before": [
    1,
    ({ driver, follower, schedule, by }) =>
      (by < 0.5 ? driver : follower).update({
        incremental: schedule.incremental,
      }),
  ],
  "mounted anew": [
    2,
    async ({ driver, follower, by }) => {
      const reader = by < 0.5 ? driver : follower;
      reader.unmount();
      if (by * 4 < 1 || by * 4 > 3) await pass(300 * by);
      reader.mount();
    },
  ],
  "another stream for a while": [
    2,
    async ({ driver, follower, place, streamId, by }) => {
      const reader = by < 0.5 ? driver : follower;
      const other = by % 0.25 < 0.1 ? undefined : await create(place);
      reader.update({ streamId: other });
      await pass(500 * by);
      reader.update({ streamId });
    },
  ],
} satisfies Record<string, [number, (scene: Scene) => unknown]>;

type Happening = keyof typeof happenings;

/** The schedule of a seed. */
export function scheduleOf(seed: number): Schedule {
  const random = randomFrom(seed);
  const sentences = 8 + below(random, 20);
  const length = story(sentences).length;
  const kinds = Object.entries(happenings).map(
    ([name, [weight]]) => [weight, name as Happening] as [number, Happening],
  );
  return {
    seed,
    sentences,
    delay: 10 + below(random, 10),
    incremental: random() < 0.5,
    strict: random() < 0.5,
    requests: {
      driver: pick(random, requestFaults)(random),
      follower: pick(random, requestFaults)(random),
    },
    moments: Array.from({ length: below(random, 5) }, () => ({
      at: below(random, length * 0.7),
      what: pick(random, kinds),
      by: random(),
    })).sort((a, b) => a.at - b.at),
  };
}

function below(random: () => number, count: number): number {
  return Math.floor(random() * count);
}

function pick<T>(random: () => number, choices: [number, T][]): T {
  let at = random() * choices.reduce((sum, [weight]) => sum + weight, 0);
  for (const [weight, choice] of choices) {
    at -= weight;
    if (at < 0) return choice;
  }
  return choices[0]![1];
}

/** The URL of a reader's request, with what is to become of it. */
export function urlOf(
  { schedule, place, streamId, name, by }: Scene,
  role: "driver" | "follower" = "driver",
): string {
  const { seed, sentences, delay, requests } = schedule;
  return (
    `${place.siteUrl}/write?sentences=${sentences}&delay=${delay}&${name}` +
    `&reader=${seed}-${streamId}-${role}&v=${by}&${requests[role]}`
  );
}

/** What a schedule has in it, in words. */
export function faultsOf({ requests, moments }: Schedule): string[] {
  const ofRequest = (orders: string) => {
    const order = new URLSearchParams(orders);
    if (order.has("as")) return `body: ${order.get("as")}`;
    if (order.has("lose")) return `POST lost ${order.get("lose")}`;
    if (order.has("hold")) return "answer held back";
    return order.has("pieces") ? "body in pieces" : null;
  };
  const drives = moments.some(({ what }) => what === "follower drives");
  const found = [
    ofRequest(requests.driver),
    drives ? ofRequest(requests.follower) : null,
    ...moments.map(({ what }) => what),
  ];
  return [...new Set(found.filter((fault) => fault !== null))];
}
