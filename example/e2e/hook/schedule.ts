import { story } from "../../../src/testing/story.js";
import { randomFrom } from "../../../src/testing/random.js";
import type { Reader, ReaderProps } from "./page.js";

/** How long (ms) nothing may come of what is waited for. */
const PATIENCE = 30_000;

/**
 * A driver and a follower of one stream, to which things happen at random
 * moments, the same ones for the same seed. Resolves when both have the exact
 * text and never showed anything but more of it, with how many of the things
 * happened before the end; rejects with what is wrong.
 */
export async function runSchedule(
  seed: number,
  page: {
    siteUrl: string;
    create: () => Promise<string>;
    mount: (props: ReaderProps) => Reader;
  },
): Promise<number> {
  const random = randomFrom(seed);
  const below = (count: number) => Math.floor(random() * count);
  const sentences = 8 + below(20);
  const text = story(sentences);
  const streamId = await page.create();
  const props = {
    url: `${page.siteUrl}/write?sentences=${sentences}&delay=12`,
    streamId,
    incremental: random() < 0.5,
  };
  const driver = page.mount({ ...props, driven: true });
  const follower = page.mount({ ...props, driven: false });

  const happenings: [string, () => unknown][] = [
    ["cut connections", () => fault(page.siteUrl, { cutConnections: true })],
    ["cut connections", () => fault(page.siteUrl, { cutConnections: true })],
    ["drop sockets", () => fault(page.siteUrl, { dropSockets: true })],
    ["render again", () => driver.update({ authToken: String(random()) })],
    ["driver follows", () => driver.update({ driven: false })],
    ["driver drives", () => driver.update({ driven: true })],
    ["follower drives", () => follower.update({ driven: true })],
    ["another query", () => driver.update({ incremental: !props.incremental })],
    [
      "mounted anew",
      () => {
        follower.unmount();
        follower.history.shown.length = 0;
        follower.mount();
      },
    ],
  ];
  const moments = Array.from({ length: 1 + below(4) }, () => ({
    // Not in the last part, which a busy page shows all at once.
    at: below(text.length * 0.7),
    happening: happenings[below(happenings.length)]!,
  })).sort((a, b) => a.at - b.at);
  const done: string[] = [];
  let inMidStream = 0;

  const describe = (reader: Reader) =>
    `${reader.history.last.status} with ${reader.history.last.text.length} characters`;
  const fail = (why: string): never => {
    throw new Error(
      `Seed ${seed} (stream ${streamId}, ${text.length} characters): ${why}. ` +
        `What happened: ${done.join(", ")}. The driver is ${describe(driver)}, the follower ${describe(follower)}.`,
    );
  };

  for (const { at, happening } of moments) {
    const [name, happen] = happening;
    const { history } = driver;
    await until(
      () => history.last.text.length >= at || history.last.status === "done",
      () => fail(`character ${at} did not come`),
    );
    if (history.last.status !== "done") inMidStream++;
    done.push(`${name} at ${history.last.text.length}`);
    await happen();
  }
  for (const reader of [driver, follower]) {
    const { history } = reader;
    await until(
      () =>
        history.last.status === "done" &&
        history.last.text.length >= text.length,
      () => fail("it did not end"),
    );
    if (history.last.text !== text) fail("the text is another one");
    const stepBack = history.stepBack();
    if (stepBack !== null) fail(stepBack);
    reader.unmount();
  }
  return inMidStream;
}

async function fault(siteUrl: string, body: object): Promise<void> {
  await fetch(new URL("/_local/faults", siteUrl), {
    method: "POST",
    body: JSON.stringify(body),
  });
}

async function until(holds: () => boolean, otherwise: () => never) {
  const deadline = performance.now() + PATIENCE;
  while (!holds()) {
    if (performance.now() > deadline) otherwise();
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}
