import { type StreamBody, isFinal } from "../../../src/shared.js";
import type { Reader } from "../../support/reader.js";
import { story } from "../../support/story.js";
import type { Traffic } from "./line.js";
import { call, create, pass, type Place } from "./place.js";
import { happenings, urlOf, type Scene, type Schedule } from "./schedule.js";

/** How long (ms) nothing may come of what is waited for. */
const PATIENCE = 30_000;
/** A text that has not grown for so long (ms) after its action was killed has no writer any more. */
const STILL = 3000;

/** What was found wrong, by what it means for a reader. */
export type Kind = "lost" | "doubled" | "stuck" | "requests" | "left behind";

export class Wrong extends Error {
  override name = "Wrong";
  constructor(
    readonly kind: Kind,
    message: string,
  ) {
    super(message);
  }
}

/**
 * Runs a schedule: a driver and a follower of one stream, to which things
 * happen. Resolves when both have shown all of what is saved, and never showed
 * anything but more of it, with one run of the writer and no request too many;
 * with how many of the things happened before the end. Else rejects with a
 * `Wrong`.
 */
export async function runSchedule(
  schedule: Schedule,
  place: Place,
): Promise<number> {
  const { seed } = schedule;
  const text = story(schedule.sentences);
  const streamId = await create(place);
  const name = `seed=${seed}&stream=${streamId}`;
  const scene = {
    schedule,
    place,
    streamId,
    name,
    by: 0,
    killed: false,
    later: [],
  } as unknown as Scene;
  const { starts } = await place.control<{ starts: number }>("open");
  const props = { streamId, incremental: schedule.incremental };
  const readers = (["driver", "follower"] as const).map((role) => {
    scene[role] = place.newReader(
      { ...props, url: urlOf(scene, role), driven: role === "driver" },
      schedule.strict,
    );
    return scene[role];
  });
  const { driver } = scene;

  const done: string[] = [];
  const show = ({ history: { last }, errors }: Reader) =>
    `${last.status} with ${last.text.length} characters${errors.length > 0 ? ` and ${errors.join(", ")}` : ""}`;
  const fail = (kind: Kind, why: string): never => {
    throw new Wrong(
      kind,
      `${kind}: ${why}. Stream ${streamId}, ${text.length} characters. What happened: ${done.join(", ") || "nothing"}. ` +
        `The driver is ${readers.map(show).join(", the follower ")}. Schedule: ${JSON.stringify(schedule)}`,
    );
  };

  let inMidStream = 0;
  for (const { at, what, by } of schedule.moments) {
    // A text may never come so far. Then it happens when it should have.
    const due = performance.now() + 1500;
    while (
      driver.history.last.text.length < at &&
      !isFinal(driver.history.last.status) &&
      performance.now() < due
    ) {
      await pass(2);
    }
    if (!isFinal(driver.history.last.status)) inMidStream++;
    done.push(`${what} at ${driver.history.last.text.length}`);
    scene.by = by;
    const [, happen] = happenings[what] as [number, (scene: Scene) => unknown];
    await happen(scene);
  }
  for (const putRight of scene.later) await putRight();

  const now = () => call<StreamBody>(place, "chat:body", streamId);
  let saved = await now();
  let deadline = performance.now() + PATIENCE;
  let still = performance.now() + STILL;
  const isWhole = ({ history: { last } }: Reader) =>
    isFinal(last.status) && last.text.length >= saved.text.length;
  while (!isFinal(saved.status) || !readers.every(isWhole)) {
    await pass(100);
    const before = saved;
    saved = await now();
    if (saved.text !== before.text || saved.status !== before.status) {
      deadline = performance.now() + PATIENCE;
      still = performance.now() + STILL;
    }
    if (performance.now() > deadline) fail("stuck", "it does not end");
    if (isFinal(saved.status) || performance.now() < still) continue;
    const open = await place.control<{ starts: number }>("open");
    if (open.starts !== starts) scene.killed = true;
    // What the cron says after 20 minutes.
    if (scene.killed) await timeOut(place, streamId);
  }
  if (!scene.killed) {
    const { starts: last } = await place.control<{ starts: number }>("open");
    scene.killed = last !== starts;
  }

  if (!text.startsWith(saved.text))
    fail("lost", "what is saved is another text");
  const expected = scene.killed ? ["done", "timeout"] : ["done"];
  if (!expected.includes(saved.status)) fail("lost", `it is ${saved.status}`);
  if (saved.status === "done" && saved.text !== text) {
    fail("lost", `only ${saved.text.length} characters are saved`);
  }
  for (const reader of readers) {
    const { last } = reader.history;
    const stepBack = reader.history.stepBack();
    if (stepBack !== null) fail("doubled", stepBack);
    if (last.status !== saved.status) fail("lost", "the status is another one");
    // Of a writer that was killed, a reader may have had more than was saved.
    const isRight = scene.killed
      ? text.startsWith(last.text) && last.text.startsWith(saved.text)
      : last.text === saved.text;
    if (!isRight) fail("lost", "the text is another one");
    if (reader.errors.some((error) => !error.includes("in trouble"))) {
      fail("lost", "there was an error");
    }
    reader.unmount();
  }
  const runs = await call<number>(place, "chat:runs", streamId);
  if (runs > 1 || (runs === 0 && saved.status === "done")) {
    fail("requests", `its writer ran ${runs} times`);
  }
  await checkRequests(scene, fail);
  return inMidStream;
}

/** One request for each time that a reader became the one who drives; those without an answer do not count. */
async function checkRequests(
  { schedule, place, streamId, driver, follower }: Scene,
  fail: (kind: Kind, why: string) => never,
): Promise<void> {
  const deadline = performance.now() + 5000;
  for (const [role, reader] of Object.entries({ driver, follower })) {
    const key = `${schedule.seed}-${streamId}-${role}`;
    const look = async () => {
      const response = await fetch(new URL("/_line", place.siteUrl));
      const traffic = (await response.json()) as Record<string, Traffic>;
      return traffic[key] ?? { answered: {}, open: 0 };
    };
    let traffic = await look();
    for (const [stream, answered] of Object.entries(traffic.answered)) {
      const chances = reader.drives[stream] ?? 0;
      if (answered > chances) {
        fail("requests", `the ${role} made ${answered}, not ${chances}`);
      }
    }
    while (traffic.open > 0) {
      if (performance.now() > deadline) {
        fail("left behind", `the ${role} has ${traffic.open} connections`);
      }
      await pass(20);
      traffic = await look();
    }
  }
}

async function timeOut(place: Place, streamId: string): Promise<void> {
  await place.control("run", {
    path: "lib:setStreamStatus",
    args: { streamId, status: "timeout" },
    component: "persistentTextStreaming",
  });
}
