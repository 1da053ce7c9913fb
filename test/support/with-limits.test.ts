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

// The limits that other tests rely on.

const MiB = 1024 * 1024;

const functions = {
  save: mutationGeneric({
    args: { text: v.string() },
    handler: async (ctx, { text }) => {
      const id = await ctx.db.insert("notes", { text: "" });
      await ctx.db.patch(id, { text });
    },
  }),
  echo: queryGeneric({
    args: { text: v.string(), times: v.number() },
    handler: (_ctx, { text, times }) => text.repeat(times),
  }),
  echoInside: queryGeneric({
    args: { length: v.number(), times: v.number() },
    handler: async (ctx, { length, times }): Promise<null> => {
      await ctx.runQuery(f.echo, { text: "x".repeat(length), times });
      return null;
    },
  }),
};
const { f } = anyApi as unknown as ApiFromModules<{ f: typeof functions }>;

test("documents, arguments, results and operations in flight are limited, and half characters refused", async () => {
  const t = withLimits(
    convexTest({
      schema: defineSchema({ notes: defineTable({ text: v.string() }) }),
      modules: {
        "./_generated/api.ts": () => Promise.resolve({}),
        "./f.ts": () => Promise.resolve(functions),
      },
      transactionLimits: true,
    }),
  );
  const refuses = (call: Promise<unknown>, why: string) =>
    expect(call).rejects.toThrow(why);
  await t.mutation(f.save, { text: "x".repeat(MiB - 200) });
  await refuses(t.mutation(f.save, { text: "x".repeat(MiB) }), "too large");
  await refuses(t.mutation(f.save, { text: "\ud83d" }), "unpaired surrogate");
  const large = { text: "x".repeat(17 * MiB), times: 0 };
  const many = { text: "x".repeat(MiB), times: 17 };
  for (const caller of [t, t.withIdentity({})]) {
    await refuses(caller.query(f.echo, large), "Arguments too large");
    await refuses(caller.query(f.echo, many), "Result too large");
  }
  const inside = (length: number, times: number) =>
    t.query(f.echoInside, { length, times });
  await refuses(inside(17 * MiB, 0), "Arguments too large");
  await refuses(inside(MiB, 17), "Result too large");
  await t.action(async (ctx) => {
    const limited = actionWithLimits(ctx);
    await refuses(limited.runQuery(f.echo, large), "Arguments too large");
    await refuses(limited.runQuery(f.echo, many), "Result too large");
    const calls = (often: number) =>
      Promise.all(
        Array.from({ length: often }, () =>
          limited.runQuery(f.echo, { text: "", times: 1 }),
        ),
      );
    await calls(1000);
    await refuses(calls(1001), "Too many concurrent operations");
  });
});
