/// <reference types="vite/client" />
import { convexTest } from "convex-test";
import { componentsGeneric, defineSchema } from "convex/server";
import { expect, test } from "vitest";
import { PersistentTextStreaming } from "./client/index.js";
import { api } from "./component/_generated/api.js";
import type { ComponentApi } from "./component/_generated/component.js";
import config from "./component/convex.config.js";
import testing, { register } from "./test.js";

const components = componentsGeneric() as unknown as Record<
  "persistentTextStreaming" | "drafts",
  ComponentApi
>;

const emptyApp = () =>
  convexTest({
    schema: defineSchema({}),
    modules: { "./_generated/api.ts": () => Promise.resolve({}) },
    transactionLimits: true,
  });

/** Creates, reads and deletes a stream of one mounted component. */
async function use(t: ReturnType<typeof emptyApp>, component: ComponentApi) {
  const streaming = new PersistentTextStreaming(component);
  const streamId = await t.mutation((ctx) => streaming.createStream(ctx));
  await t.mutation(component.lib.addChunk, {
    streamId,
    text: "Text.",
    final: true,
  });
  const body = await t.query((ctx) => streaming.getStreamBody(ctx, streamId));
  await t.mutation((ctx) => streaming.deleteStream(ctx, streamId));
  return body;
}

test("register makes the component usable under its default name, another, or both", async () => {
  const written = { text: "Text.", status: "done" };
  const t = emptyApp();
  expect(await use(t, register(t))).toEqual(written);
  expect(await use(t, components.persistentTextStreaming)).toEqual(written);
  await expect(use(t, components.drafts)).rejects.toThrow();
  const other = emptyApp();
  register(other, "drafts");
  expect(await use(other, components.drafts)).toEqual(written);
  const { persistentTextStreaming } = components;
  await expect(use(other, persistentTextStreaming)).rejects.toThrow();
  register(other);
  expect(await use(other, persistentTextStreaming)).toEqual(written);
});

test("the default export makes the component testable by itself", async () => {
  expect(testing.register).toBe(register);
  const t = convexTest({ ...testing, transactionLimits: true });
  const streamId = await t.mutation(api.lib.createStream, {});
  expect(await t.query(api.lib.getStreamStatus, { streamId })).toBe("pending");
});

test("the component is named persistentTextStreaming", () => {
  expect((config as unknown as { _name: string })._name).toBe(
    "persistentTextStreaming",
  );
});
