import fc from "fast-check";
import * as arbitrary from "../test/support/arbitraries.js";
import { expect, test } from "vitest";
import { cutLength, isFinal } from "./shared.js";

test("a stream has ended when its status is none of these two", () => {
  expect(isFinal("pending")).toBe(false);
  expect(isFinal("streaming")).toBe(false);
  expect(isFinal("done")).toBe(true);
  expect(isFinal("error")).toBe(true);
  expect(isFinal("timeout")).toBe(true);
  expect(isFinal("aborted")).toBe(true);
});

test.each([
  { text: "abc", length: 2, cut: 2 },
  { text: "abc", length: 3, cut: 3 },
  { text: "abc", length: 99, cut: 3 },
  { text: "abc", length: 0, cut: 0 },
  { text: "abc", length: -1, cut: 0 },
  { text: "", length: 5, cut: 0 },
  { text: "a😀b", length: 1, cut: 1 },
  { text: "a😀b", length: 2, cut: 1 },
  { text: "a😀b", length: 3, cut: 3 },
  { text: "😀😀", length: 3, cut: 2 },
  { text: "中文", length: 1, cut: 1 },
])("$text can be cut at $cut, if not at $length", ({ text, length, cut }) => {
  expect(cutLength(text, length)).toBe(cut);
});

test("a cut leaves two texts that are valid Unicode, and moves by one at most", () => {
  fc.assert(
    fc.property(arbitrary.text(20), fc.nat(50), (text, length) => {
      const cut = cutLength(text, length);
      expect(text.slice(0, cut)).not.toMatch(/\p{Surrogate}/u);
      expect(text.slice(cut)).not.toMatch(/\p{Surrogate}/u);
      expect(cut).toBeLessThanOrEqual(length);
      expect(cut).toBeGreaterThanOrEqual(Math.min(length, text.length) - 1);
    }),
  );
});
