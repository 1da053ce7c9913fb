// @vitest-environment node
/** `generate` with `takeOver` under Convex's action-retrier, which runs a failed job again. */
import { fileURLToPath } from "node:url";
import { ConvexError } from "convex/values";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { startDeployment, type LocalDeployment } from "./deployment.js";
import { shared } from "./retrier/jobs.js";

const eventually = (assertions: () => void | Promise<void>) =>
  vi.waitFor(assertions, { timeout: 10_000, interval: 5 });
const folder = (path: string) => fileURLToPath(new URL(path, import.meta.url));
const retrier = import.meta.resolve("@convex-dev/action-retrier/convex.config");

let deployment: LocalDeployment;
beforeEach(async () => {
  deployment = await startDeployment({
    functionsDir: folder("retrier"),
    components: {
      persistentTextStreaming: folder("../../src/component"),
      actionRetrier: fileURLToPath(new URL(".", retrier)),
    },
    log: () => {},
  });
});
afterEach(() => deployment.stop());

const start = async (maxFailures = 4) =>
  (await deployment.call("jobs:start", { maxFailures })) as string;
const becomes = (streamId: string, page: object, ...told: object[]) =>
  eventually(async () =>
    expect(await deployment.call("jobs:look", { streamId })).toMatchObject({
      page,
      told,
    }),
  );

const busy = () =>
  new ConvexError({ message: "The model is busy.", status: 429 });

test("an attempt that is killed in mid-stream is continued by the next", async () => {
  shared.attempts.push(
    async (_saved, append) => {
      await append("Once upon a time. ");
      await new Promise(() => {});
    },
    async (saved, append) => append(`There was a sea. (After ${saved.length})`),
  );
  const streamId = await start();
  const text = "Once upon a time. ";
  await becomes(streamId, { text, status: "streaming" });
  deployment.faults.killActions();
  // The retrier looks after a dead job every ten seconds or so.
  deployment.setClock(20_000);
  const whole = `${text}There was a sea. (After ${text.length})`;
  const { length } = whole;
  const status = "done";
  await becomes(streamId, { text: whole, status }, { status, length });
});

test("an attempt that throws twice leaves the stream open, and the third ends it", async () => {
  const refused = async (_saved: string, append: (text: string) => unknown) => {
    await append("More. ");
    throw busy();
  };
  shared.attempts.push(refused, refused, (_saved, append) => append("End."));
  const streamId = await start();
  const text = "More. More. End.";
  const status = "done";
  await becomes(streamId, { text, status }, { status, length: text.length });
});

test("without a retry, the stream ends with the last attempt's error, within timeoutMs and a minute", async () => {
  shared.attempts.push(async (_saved, append) => {
    await append("Half. ");
    throw busy();
  });
  const before = shared.rejections;
  const streamId = await start(0);
  await becomes(streamId, { status: "streaming", claimed: true });
  await eventually(() => expect(shared.rejections).toBe(before + 1));
  deployment.setClock(3 * 60_000);
  const { data } = busy();
  await becomes(
    streamId,
    { text: "Half. ", status: "error", error: { kind: "WriterFailed", data } },
    { status: "error", length: 6 },
  );
});
