import { convexTest } from "convex-test";
import {
  anyApi,
  type ApiFromModules,
  defineSchema,
  defineTable,
  mutationGeneric,
  queryGeneric,
} from "convex/server";
import { v } from "convex/values";
import { expect, test } from "vitest";
import { actionWithLimits, withLimits } from "./with-limits.js";

// The limits that the other tests rely on.

const MiB = 1024 * 1024;

const functions = {
  insert: mutationGeneric({
    args: { text: v.string() },
    handler: (ctx, { text }) => ctx.db.insert("notes", { text }),
  }),
  patch: mutationGeneric({
    args: { id: v.id("notes"), text: v.string(), more: v.string() },
    handler: async (ctx, { id, ...fields }) => ctx.db.patch(id, fields),
  }),
  echo: queryGeneric({
    args: { text: v.string(), times: v.number() },
    handler: (_ctx, { text, times }) => text.repeat(times),
  }),
  echoInside: queryGeneric({
    args: { length: v.number(), times: v.number() },
    handler: async (ctx, { length, times }): Promise<string> => {
      const text = "x".repeat(length);
      const echo = await ctx.runQuery(f.echo, { text, times });
      return echo.slice(0, 1);
    },
  }),
};

const { f } = anyApi as unknown as ApiFromModules<{ f: typeof functions }>;

function setUp() {
  const notes = defineTable({ text: v.string(), more: v.optional(v.string()) });
  return withLimits(
    convexTest({
      schema: defineSchema({ notes }),
      modules: {
        "./_generated/api.ts": () => Promise.resolve({}),
        "./f.ts": () => Promise.resolve(functions),
      },
      transactionLimits: true,
    }),
  );
}

test("a document of 1 MiB is refused, inserted or grown by a patch, and one of less is not", async () => {
  const t = setUp();
  const text = "x".repeat(MiB - 200);
  await expect(t.mutation(f.insert, { text: "x".repeat(MiB) })).rejects.toThrow(
    "Value is too large",
  );
  const id = await t.mutation(f.insert, { text });
  await t.mutation(f.patch, { id, text, more: "" });
  await expect(
    t.mutation(f.patch, { id, text, more: "x".repeat(300) }),
  ).rejects.toThrow("Value is too large");
});

test("half a character is refused", async () => {
  const t = setUp();
  const id = await t.mutation(f.insert, { text: "" });
  await expect(
    t.mutation(f.patch, { id, text: "\ud83d", more: "" }),
  ).rejects.toThrow("unpaired surrogate");
});

test("more than 16 MiB of arguments or result are refused, of a call from outside and of one from inside", async () => {
  const t = setUp();
  const small = "x".repeat(1000);
  expect((await t.query(f.echo, { text: small, times: 1 })).length).toBe(1000);
  await expect(
    t.query(f.echo, { text: "x".repeat(17 * MiB), times: 0 }),
  ).rejects.toThrow("Arguments too large");
  await expect(
    t.query(f.echo, { text: small, times: 17 * 1050 }),
  ).rejects.toThrow("Result too large");
  await expect(
    t.withIdentity({}).query(f.echo, { text: small, times: 17 * 1050 }),
  ).rejects.toThrow("Result too large");
  await expect(
    t.query(f.echoInside, { length: 17 * MiB, times: 0 }),
  ).rejects.toThrow("Arguments too large");
  await expect(
    t.query(f.echoInside, { length: MiB, times: 17 }),
  ).rejects.toThrow("Result too large");
});

test("an action is also held to them", async () => {
  const t = setUp();
  await t.action(async (ctx) => {
    const limited = actionWithLimits(ctx);
    const calls = (often: number) =>
      Promise.all(
        Array.from({ length: often }, () =>
          limited.runQuery(f.echo, { text: "", times: 1 }),
        ),
      );
    await calls(1000);
    await expect(
      limited.runQuery(f.echo, { text: "x".repeat(MiB), times: 17 }),
    ).rejects.toThrow("Result too large");
    await expect(
      limited.runQuery(f.echo, { text: "x".repeat(17 * MiB), times: 1 }),
    ).rejects.toThrow("Arguments too large");
    await expect(calls(1001)).rejects.toThrow("Too many concurrent operations");
  });
});
