import { register as registerRetrier } from "@convex-dev/action-retrier/test";
import type { StreamId } from "@convex-dev/persistent-text-streaming";
import { register } from "@convex-dev/persistent-text-streaming/test";
import { convexTest } from "convex-test";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { api, internal } from "./_generated/api";
import schema from "./schema";

function setUp() {
  const t = convexTest(schema, import.meta.glob("./**/*.ts"));
  register(t);
  registerRetrier(t);
  return t;
}
let t: ReturnType<typeof setUp>;
beforeEach(() => {
  t = setUp();
});
afterEach(() => {
  vi.useRealTimers();
});

const becomes = (streamId: StreamId, text: string) =>
  vi.waitFor(async () =>
    expect(await t.query(api.chat.getStreamBody, { streamId })).toMatchObject({
      text,
      status: "done",
    }),
  );

test("a scheduled action writes the reply", async () => {
  const streamId = await t.mutation(api.background.send, { prompt: "hi" });
  await becomes(streamId, "You said: hi");
});

test("the fallback writes what no request has written, and is canceled otherwise", async () => {
  vi.useFakeTimers({ toFake: ["setTimeout"], shouldAdvanceTime: true });
  const written = await t.mutation(api.net.send, { prompt: "hi" });
  await t.action(internal.background.answer, { streamId: written });
  const streamId = await t.mutation(api.net.send, { prompt: "hi" });
  await vi.advanceTimersByTimeAsync(5_000);
  await becomes(streamId, "You said: hi");
  await vi.waitFor(async () => {
    const jobs = await t.run(({ db }) =>
      db.system.query("_scheduled_functions").collect(),
    );
    const states = jobs.map(({ state }) => state.kind);
    expect(states).toEqual(["canceled", "success"]);
  });
});

test("a job that takes over continues the text", async () => {
  await becomes(
    await t.mutation(api.retried.send, { prompt: "hi" }),
    "Once upon a time.",
  );
});
