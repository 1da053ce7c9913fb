import { expect, test, vi } from "vitest";
import { api, internal } from "../../src/component/_generated/api.js";
import type { Id } from "../../src/component/_generated/dataModel.js";
import crons from "../../src/component/crons.js";
import { pass, useClock } from "../support/clock.js";
import { setUpComponent, type Component } from "../support/component.js";

useClock();

const MINUTE = 60_000;
type Call = (setup: Component, id: Id<"streams">) => unknown;

const checks = ({ t }: Component) =>
  t.run((ctx) => ctx.db.query("checks").collect());
/** A callback that cannot be run. */
const insertCallback = ({ t }: Component) =>
  t.run((ctx) => ctx.db.insert("callbacks", { handle: "none", name: "none" }));

test("the cron runs every hour: while streams live, checks are planned", () => {
  expect(Object.values(crons.crons)).toEqual([
    {
      name: "lib:cleanupExpiredStreams",
      args: [{}],
      schedule: { type: "interval", hours: 1 },
    },
  ]);
});

/** The last sign of life, 15 minutes after the creation. */
test.each([
  { since: "its creation", text: "", after: () => undefined, early: 15 },
  {
    since: "the last addChunk",
    text: "x",
    after: ({ add }: Component, id: Id<"streams">) => add(id, "x"),
  },
  {
    since: "its claim",
    text: "",
    after: ({ claim }: Component, id: Id<"streams">) => claim(id),
  },
  {
    since: "the newest text, which grew in place",
    text: "One. Two. ",
    before: "One. ",
    after: ({ append }: Component, id: Id<"streams">) => append(id, 5, "Two. "),
  },
  {
    since: "a sign of life of a silent writer",
    text: "",
    before: "",
    after: ({ append }: Component, id: Id<"streams">) => append(id, 0, ""),
  },
])("a check counts 20 minutes from $since", async (row) => {
  const setup = setUpComponent();
  const streamId = await setup.create();
  if (row.before !== undefined) {
    await setup.claim(streamId);
    await setup.append(streamId, 0, row.before);
  }
  await pass((15 - (row.early ?? 0)) * MINUTE);
  await row.after(setup, streamId);
  await pass(19 * MINUTE);
  await setup.cleanUp();
  const status = row.text === "" ? "pending" : "streaming";
  expect(await setup.text(streamId)).toEqual({ text: row.text, status });
  await pass(2 * MINUTE);
  await setup.cleanUp();
  expect(await setup.status(streamId)).toBe("timeout");
});

test("a save writes the stream's document only if a quarter of the time has passed", async () => {
  const { t, create, claim, stream } = setUpComponent();
  const streamId = await create();
  await claim(streamId);
  const timeout = (await stream(streamId))!.deadline! - Date.now();
  /** Saves text, and counts the documents that are written. */
  const save = (start: number, text = ".") =>
    t.mutation(async (ctx) => {
      const save = { streamId, writer: "writer", start, text };
      await ctx.runMutation(api.lib.append, save);
      const metrics = await ctx.meta.getTransactionMetrics();
      return metrics.documentsWritten.used;
    });
  expect(await save(0)).toBe(2);
  await pass(timeout / 5);
  expect(await save(1)).toBe(1);
  await pass(timeout / 10);
  expect(await save(2)).toBe(2);
  const deadline = Date.now() + timeout;
  expect(await stream(streamId)).toMatchObject({ deadline });
  // A sign of life leaves the text alone.
  expect(await save(3, "")).toBe(1);
});

test("the next check is planned for the earliest deadline", async () => {
  const setup = setUpComponent();
  const deadline = Date.now() + 5 * MINUTE;
  await setup.insertStream({ deadline: deadline + 9 * MINUTE });
  await setup.insertStream({ status: "streaming", deadline });
  await setup.cleanUp();
  expect(await checks(setup)).toMatchObject([{ at: deadline + MINUTE / 2 }]);
});

test("a check is planned for a callback that is owed", async () => {
  const logged = vi.spyOn(console, "error").mockImplementation(() => {});
  const setup = setUpComponent();
  const callback = await insertCallback(setup);
  await setup.abort(await setup.insertStream({ callback }));
  expect(logged).toHaveBeenCalledOnce();
  logged.mockRestore();
  const owed = await setup.t.run((ctx) => ctx.db.query("callbacks").first());
  const at = owed!.dueAt! + MINUTE / 2;
  expect(await checks(setup)).toMatchObject([{ at }]);
});

test("a check that runs before its time, because the clock was set back, is followed by another", async () => {
  const { t, create, status } = setUpComponent();
  const streamId = await create();
  vi.setSystemTime(Date.now() - MINUTE);
  for (let minute = 0; minute < 22; minute++) {
    await pass(MINUTE);
    await t.finishInProgressScheduledFunctions();
  }
  expect(await status(streamId)).toBe("timeout");
});

// A new stream's deadline is in 20 minutes.
test.each([
  { at: -2 * MINUTE, enough: false },
  { at: -MINUTE / 2, enough: true },
  { at: 20.7 * MINUTE, enough: true },
  { at: 20.8 * MINUTE, enough: false },
])("a check planned in $at ms is enough: $enough", async ({ at, enough }) => {
  const setup = setUpComponent();
  const planned = { at: Date.now() + at };
  await setup.t.run((ctx) => ctx.db.insert("checks", planned));
  await setup.create();
  expect(await checks(setup)).toHaveLength(enough ? 1 : 2);
});

test.each<{ what: string; fields?: object; status: string; call?: Call }>([
  { what: "ends it", status: "timeout" },
  {
    what: "leaves one that lives",
    fields: { expiring: undefined },
    status: "streaming",
  },
  {
    what: "leaves one that has ended",
    fields: { status: "done" },
    status: "done",
  },
  {
    what: "leaves one that has saved text since",
    call: ({ append }, id) => append(id, 0, "x"),
    status: "streaming",
  },
  {
    what: "leaves one that has shown a sign of life since",
    call: ({ append }, id) => append(id, 0, ""),
    status: "streaming",
  },
  {
    what: "leaves one that was taken over since",
    call: ({ t }, streamId) => {
      const claim = { streamId, writer: "another", takeOver: true };
      return t.mutation(api.lib.claim, claim);
    },
    status: "streaming",
  },
])("a dead stream's own mutation $what", async ({ fields, ...row }) => {
  const setup = setUpComponent();
  const streamId = await setup.insertStream({
    status: "streaming",
    writer: "writer",
    deadline: Date.now() + 20 * MINUTE,
    expiring: true,
    ...fields,
  });
  await row.call?.(setup, streamId);
  await setup.t.mutation(internal.deadlines.expire, { streamId });
  expect(await setup.status(streamId)).toBe(row.status);
});

test.each([undefined, true])(
  "a dead stream with a callback ends in that mutation, or, if that has failed, at once: %s",
  async (expiring) => {
    const logged = vi.spyOn(console, "error").mockImplementation(() => {});
    const setup = setUpComponent();
    const callback = await insertCallback(setup);
    const fields = { callback, deadline: Date.now(), expiring };
    const streamId = await setup.insertStream(fields);
    await pass(21 * MINUTE);
    await setup.cleanUp();
    if (!expiring) {
      const planned = { deadline: Date.now() + MINUTE, expiring: true };
      expect(await setup.stream(streamId)).toMatchObject(planned);
      await setup.finishScheduled();
    }
    expect(await setup.status(streamId)).toBe("timeout");
    const owed = await setup.t.run((ctx) =>
      ctx.db.query("callbacks").collect(),
    );
    expect(owed).toMatchObject([{ owed: { status: "timeout" } }]);
    // At once, it is not even tried.
    expect(logged).toHaveBeenCalledTimes(expiring ? 0 : 1);
    logged.mockRestore();
  },
);

test("a check ends 120 dead streams, and no live one, of which 60 are older", async () => {
  const { t, insertStream, add, status, cleanUp, finishScheduled } =
    setUpComponent();
  const live: Id<"streams">[] = [];
  const claimedAt = Date.now() + 20 * MINUTE;
  while (live.length < 60) live.push(await insertStream({ claimedAt }));
  await pass(1000);
  const dead: Id<"streams">[] = [];
  while (dead.length < 60) dead.push(await insertStream({}));
  while (dead.length < 121) {
    dead.push(await insertStream({ status: "streaming" }));
  }
  const written = dead.pop();
  await pass(21 * MINUTE);
  await add(written!, "Still here.");
  await cleanUp();
  await finishScheduled();
  const after = await t.run((ctx) => ctx.db.query("streams").collect());
  const ids = (status: string) =>
    after.filter((stream) => stream.status === status).map(({ _id }) => _id);
  expect(ids("timeout").sort()).toEqual(dead.sort());
  expect(ids("pending")).toEqual(live);
  expect(await status(written!)).toBe("streaming");
});
