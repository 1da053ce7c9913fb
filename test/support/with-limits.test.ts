import {
  anyApi,
  type ApiFromModules,
  mutationGeneric,
  queryGeneric,
} from "convex/server";
import { v } from "convex/values";
import { expect, test } from "vitest";
import { setUp } from "./setup.js";

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
};
const { f } = anyApi as unknown as ApiFromModules<{ f: typeof functions }>;

test("documents, arguments, results and operations in flight are limited, and half characters refused", async () => {
  const { t, act } = setUp(undefined, {
    "./f.ts": () => Promise.resolve(functions),
  });
  const refuses = (call: Promise<unknown>, why: string) =>
    expect(call).rejects.toThrow(why);
  await t.mutation(f.save, { text: "x".repeat(MiB - 200) });
  await refuses(t.mutation(f.save, { text: "x".repeat(MiB) }), "too large");
  await refuses(t.mutation(f.save, { text: "\ud83d" }), "unpaired surrogate");
  const echo = { text: "", times: 1 };
  for (const call of [
    (args: typeof echo) => t.query(f.echo, args),
    (args: typeof echo) =>
      t.query(async (ctx) => void (await ctx.runQuery(f.echo, args))),
    (args: typeof echo) => act((ctx) => ctx.runQuery(f.echo, args)),
  ]) {
    const large = { text: "x".repeat(17 * MiB), times: 0 };
    await refuses(call(large), "Arguments too large");
    const many = { text: "x".repeat(MiB), times: 17 };
    await refuses(call(many), "Result too large");
  }
  const calls = (often: number) =>
    act((ctx) =>
      Promise.all(
        Array.from({ length: often }, () => ctx.runQuery(f.echo, echo)),
      ),
    );
  await calls(1000);
  await refuses(calls(1001), "Too many concurrent operations");
});
