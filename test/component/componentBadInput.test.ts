import { expect, test } from "vitest";
import { useClock } from "../support/clock.js";
import { setUpComponent } from "../support/component.js";
import * as deadlines from "../../src/component/deadlines.js";
import * as endings from "../../src/component/endings.js";
import * as lib from "../../src/component/lib.js";
import { api, internal } from "../../src/component/_generated/api.js";

// src/client/badInput.test.ts has what an app can pass through the client.

useClock();

const isRegistered = (
  fn: unknown,
): fn is { exportArgs: () => string; exportReturns: () => string } =>
  typeof fn === "function" && "exportArgs" in fn;

test("every function checks its arguments and its result", () => {
  const exported = { ...lib, ...deadlines, ...endings };
  const checks = Object.entries(exported).flatMap(([name, fn]) => {
    if (!isRegistered(fn)) return [];
    const returns = JSON.parse(fn.exportReturns()) as object | null;
    const args = JSON.parse(fn.exportArgs()) as { type: string };
    return [{ name, args: args.type, returns: returns !== null }];
  });
  expect(checks.length).toBeGreaterThan(20);
  for (const { name, ...check } of checks) {
    expect(check, name).toEqual({ args: "object", returns: true });
  }
});

/** What each function answers about a stream that is gone. Those without an answer throw. */
test.each<[name: keyof typeof api.lib, args: object, answer?: unknown]>([
  ["claim", { writer: "w" }, { claimed: false, status: null }],
  ["append", { writer: "w", start: 0, text: "x" }, null],
  ["abort", {}, null],
  ["getStreamStatus", {}, "error"],
  ["read", {}, null],
  ["tail", {}, null],
  ["getClaim", { writer: "w" }, null],
  ["getStreamInfo", {}, null],
  ["addChunk", { text: "x", final: false }],
  ["setStreamStatus", { status: "done" }],
  ["deleteStream", {}],
  ["getStreamText", {}],
])("%s of a stream that is gone", async (name, args, answer) => {
  const { t, create, remove } = setUpComponent();
  const streamId = await create();
  await remove(streamId);
  const call = { streamId, ...args } as never;
  const calling: Promise<unknown> = /^get|^read|^tail/.test(name)
    ? t.query(api.lib[name] as typeof api.lib.tail, call)
    : t.mutation(api.lib[name] as typeof api.lib.abort, call);
  if (answer !== undefined) expect(await calling).toEqual(answer);
  else {
    const sentence = `Stream not found: there is no stream ${streamId}`;
    await expect(calling).rejects.toThrow(sentence);
  }
});

test("the internal functions ignore a stream that is gone", async () => {
  const { t, create, remove, finishScheduled } = setUpComponent();
  const streamId = await create();
  await remove(streamId);
  await t.mutation(internal.lib.packChunks, { streamId, from: 0 });
  await t.mutation(internal.lib.deleteTexts, { at: 0 });
  await t.mutation(internal.lib.close, { streamId });
  await t.mutation(internal.deadlines.expire, { streamId });
  const page = { streamId, cursor: null };
  await t.mutation(internal.lib._deleteChunksPage, page);
  await finishScheduled();
});

test("append refuses an offset that is none, and a writer without a claim", async () => {
  const { create, claim, append, text } = setUpComponent();
  const streamId = await create();
  const unclaimed = "has not been claimed. Claim it before appending.";
  await expect(append(streamId, 0, "x")).rejects.toThrow(unclaimed);
  await claim(streamId);
  await append(streamId, 0, "Saved.");
  for (const start of [-1, 0.5, NaN, 2 ** 53]) {
    const sentence = `start must be an offset into the text, a whole number of 0 or more (UTF-16 code units); it is ${start}`;
    await expect(append(streamId, start, "x")).rejects.toThrow(sentence);
  }
  expect(await text(streamId)).toEqual({ text: "Saved.", status: "streaming" });
});
