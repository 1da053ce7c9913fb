import { describe, expect, test } from "vitest";
import { due, flushPolicy, type FlushOptions } from "./flush.js";

describe("how much is due", () => {
  const none = { boundary: () => false };
  const semicolon = { boundary: (text: string) => text.endsWith(";") };
  const long = "x".repeat(5000);
  test.each<[string, number, ("line" | FlushOptions)?, age?: number]>([
    // Sentences: all that there is, as soon as one has ended.
    ["", 0],
    ["Half a sentence", 0],
    ["A sentence.", 11],
    ["A sentence! And", 15],
    ["A question? And", 15],
    ["一句话。", 4],
    ["什么？", 3],
    ["好！", 2],
    ["a line\n", 7],
    ["a, b; c: d", 0],
    // Lines: whole ones.
    ["A sentence. And", 0, "line"],
    ["one\n", 4, "line"],
    ["one\ntwo\nthr", 8, "line"],
    ["one\n😀", 4, { boundary: "line" }],
    // However long and old the rest is, unless the app says otherwise.
    [`1\n${long}`, 2, "line", 9999],
    ["x", 1, { boundary: "line", maxDelayMs: 9 }, 9],
    // A function decides for itself.
    ["A sentence.\n", 0, none],
    ["a;", 2, semicolon],
    ["a;b", 0, semicolon],
    // The limits hold whatever the boundary.
    ["1234", 0, { ...none, maxChars: 5 }],
    ["12345", 5, { ...none, maxChars: 5 }],
    ["1\n3456", 6, { boundary: "line", maxChars: 5 }],
    ["1", 0, { ...none, maxDelayMs: 50 }, 49],
    ["1", 1, { ...none, maxDelayMs: 50 }, 50],
    ["a😀", 3, { ...none, maxDelayMs: 50 }, 99],
    ["x", 1, { maxChars: 1, minDelayMs: 0, maxDelayMs: 1 }],
    [long, 0, { maxChars: Infinity, maxDelayMs: Infinity }, 9999],
    // The defaults.
    ["x".repeat(999), 0, undefined, 999],
    ["x".repeat(1000), 1000],
    ["x", 1, undefined, 1000],
  ])("of %j: %d (%j, after %d ms)", (unsaved, length, flush, age = 0) => {
    expect(due(unsaved, age, flushPolicy(flush))).toBe(length);
  });
});

describe("invalid options are TypeErrors", () => {
  test.each<[unknown, string]>([
    ["word", 'it is "word"'],
    [{ boundary: "paragraph" }, 'it is "paragraph"'],
    [{ boundary: 7 }, "the boundary must be"],
    [{ maxChars: 0 }, "maxChars must be a number"],
    [{ maxChars: -1 }, "it is -1"],
    [{ maxChars: NaN }, "maxChars must be a number"],
    [{ maxChars: "100" }, 'it is "100"'],
    [{ maxDelayMs: 0 }, "maxDelayMs must be a number"],
    [{ maxDelayMs: -5 }, "it is -5"],
    [{ minDelayMs: 2000 }, "to maxDelayMs (1000); it is 2000"],
    [{ minDelayMs: -1 }, "minDelayMs must be"],
    [{ minDelayMs: NaN, maxDelayMs: 9 }, "minDelayMs must be"],
    [{ minDelayMs: Infinity, maxDelayMs: Infinity }, "minDelayMs must be"],
    [() => true, "flush must be"],
    [null, "flush must be"],
    [100, "flush must be"],
  ])("%j", (flush, message) => {
    const check = () => flushPolicy(flush as FlushOptions);
    expect(check).toThrow(TypeError);
    expect(check).toThrow(message);
  });
});
