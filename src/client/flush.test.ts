import { describe, expect, test } from "vitest";
import { due, flushPolicy, type FlushOptions } from "./flush.js";

describe("how much is due", () => {
  const none = { boundary: () => false };
  const table: {
    flush?: "sentence" | "line" | FlushOptions;
    unsaved: string;
    age?: number;
    due: number;
  }[] = [
    // Sentences: all that there is, as soon as one has ended.
    { unsaved: "", due: 0 },
    { unsaved: "Half a sentence", due: 0 },
    { unsaved: "A sentence.", due: 11 },
    { unsaved: "A sentence! And", due: 15 },
    { unsaved: "A question? And", due: 15 },
    { unsaved: "一句话。", due: 4 },
    { unsaved: "什么？", due: 3 },
    { unsaved: "好！", due: 2 },
    { unsaved: "a line\n", due: 7 },
    { unsaved: "a, b; c: d", due: 0 },
    // Lines: whole ones.
    { flush: "line", unsaved: "A sentence. And", due: 0 },
    { flush: "line", unsaved: "one\n", due: 4 },
    { flush: "line", unsaved: "one\ntwo\nthr", due: 8 },
    { flush: { boundary: "line" }, unsaved: "one\n😀", due: 4 },
    // However long and old the rest is, unless the app says otherwise.
    { flush: "line", unsaved: "1\n" + "x".repeat(5000), age: 9999, due: 2 },
    { flush: { boundary: "line" }, unsaved: "x".repeat(5000), due: 0 },
    {
      flush: { boundary: "line", maxDelayMs: 9 },
      unsaved: "x",
      age: 9,
      due: 1,
    },
    // A function decides for itself.
    { flush: none, unsaved: "A sentence.\n", due: 0 },
    { flush: { boundary: (t) => t.endsWith(";") }, unsaved: "a;", due: 2 },
    { flush: { boundary: (t) => t.endsWith(";") }, unsaved: "a;b", due: 0 },
    // The limits hold whatever the boundary.
    { flush: { ...none, maxChars: 5 }, unsaved: "1234", due: 0 },
    { flush: { ...none, maxChars: 5 }, unsaved: "12345", due: 5 },
    { flush: { boundary: "line", maxChars: 5 }, unsaved: "1\n3456", due: 6 },
    { flush: { ...none, maxDelayMs: 50 }, unsaved: "1", age: 49, due: 0 },
    { flush: { ...none, maxDelayMs: 50 }, unsaved: "1", age: 50, due: 1 },
    { flush: { ...none, maxDelayMs: 50 }, unsaved: "a😀", age: 99, due: 3 },
    {
      flush: { maxChars: 1, minDelayMs: 0, maxDelayMs: 1 },
      unsaved: "x",
      due: 1,
    },
    {
      flush: { maxChars: Infinity, maxDelayMs: Infinity },
      unsaved: "x".repeat(5000),
      age: 9999,
      due: 0,
    },
    // The defaults.
    { unsaved: "x".repeat(999), age: 999, due: 0 },
    { unsaved: "x".repeat(1000), due: 1000 },
    { unsaved: "x", age: 1000, due: 1 },
  ];
  test.each(table)(
    "of $unsaved after $age ms, with $flush: $due",
    ({ flush, unsaved, age = 0, due: length }) => {
      expect(due(unsaved, age, flushPolicy(flush))).toBe(length);
    },
  );
});

describe("invalid options are TypeErrors", () => {
  const bad: { flush: unknown; message: string }[] = [
    { flush: "word", message: 'it is "word"' },
    { flush: { boundary: "paragraph" }, message: 'it is "paragraph"' },
    { flush: { boundary: 7 }, message: "the boundary must be" },
    { flush: { maxChars: 0 }, message: "maxChars must be a number" },
    { flush: { maxChars: -1 }, message: "it is -1" },
    { flush: { maxChars: NaN }, message: "maxChars must be a number" },
    { flush: { maxChars: "100" }, message: 'it is "100"' },
    { flush: { maxDelayMs: 0 }, message: "maxDelayMs must be a number" },
    { flush: { maxDelayMs: -5 }, message: "it is -5" },
    {
      flush: { minDelayMs: 2000 },
      message: "to maxDelayMs (1000); it is 2000",
    },
    { flush: { minDelayMs: -1 }, message: "minDelayMs must be" },
    {
      flush: { minDelayMs: NaN, maxDelayMs: 9 },
      message: "minDelayMs must be",
    },
    {
      flush: { minDelayMs: Infinity, maxDelayMs: Infinity },
      message: "minDelayMs must be",
    },
    { flush: () => true, message: "flush must be" },
    { flush: null, message: "flush must be" },
    { flush: 100, message: "flush must be" },
  ];
  test.each(bad)("$flush", ({ flush, message }) => {
    const check = () => flushPolicy(flush as FlushOptions);
    expect(check).toThrow(TypeError);
    expect(check).toThrow(message);
  });
});
