// @vitest-environment node
import { expect, test } from "vitest";
import { api } from "./fixture/api.js";
import { deployForEachTest } from "./fixture/start.js";

const local = deployForEachTest();
const MiB = 1024 * 1024;
const store = (text: string) => local.deployment.run(api.notes.store, { text });

test("documents up to 1 MiB are stored, larger ones refused", async () => {
  expect(await store("a".repeat(MiB - 200))).toBe(MiB - 200);
  await expect(store("a".repeat(MiB))).rejects.toThrow(
    "Value is too large (1.00 MiB > maximum size 1.00 MiB)",
  );
  // Bytes count, not characters.
  await expect(store("ä".repeat(MiB / 2))).rejects.toThrow("too large");
});

test("unpaired surrogates are refused in arguments and results", async () => {
  await expect(store("half: \ud83d")).rejects.toThrow(
    'Arguments of "notes:store" contains a string that is not valid Unicode: an unpaired surrogate at position 6.',
  );
  await expect(
    local.deployment.run(api.notes.echo, { value: { deep: ["\ude00"] } }),
  ).rejects.toThrow("unpaired surrogate");
  await expect(local.deployment.run(api.notes.illFormed, {})).rejects.toThrow(
    'Return value of "notes:illFormed"',
  );
  expect(await store("whole: 😀")).toBe(9);
});

test("arguments and results over 16 MiB are refused", async () => {
  const large = "a".repeat(17 * MiB);
  await expect(
    local.deployment.run(api.notes.echo, { value: large }),
  ).rejects.toThrow("too large (17.00 MiB > maximum size 16.00 MiB)");
});

test("a transaction reads no more than 16 MiB", async () => {
  for (let i = 0; i < 20; i++) await store("a".repeat(MiB - 1000));
  await expect(local.deployment.run(api.notes.allBlobs, {})).rejects.toThrow(
    "too much data",
  );
});
