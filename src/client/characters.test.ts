import fc from "fast-check";
import { expect, test } from "vitest";
import * as arbitrary from "../../test/support/arbitraries.js";
import { CharacterJoiner } from "./write.js";

function join(...pieces: string[]): string[] {
  const joiner = new CharacterJoiner();
  return [...pieces.map((piece) => joiner.push(piece)), joiner.end()];
}

test("a split character arrives whole, with its second half", () => {
  expect(join("a\uD83D", "\uDE00b")).toEqual(["a", "😀b", ""]);
});

test("an empty piece between the halves does no harm", () => {
  expect(join("\uD83D", "", "\uDE00")).toEqual(["", "", "😀", ""]);
});

test("half a character at the end is U+FFFD", () => {
  expect(join("a\uD83D")).toEqual(["a", "\uFFFD"]);
});

test("a half that never gets its other half is U+FFFD", () => {
  expect(join("\uD83Da")).toEqual(["\uFFFDa", ""]);
  expect(join("\uDE00a")).toEqual(["\uFFFDa", ""]);
  expect(join("\uD83D", "\uD83D\uDE00")).toEqual(["", "\uFFFD😀", ""]);
});

test("text cut anywhere comes out as it was, in valid pieces", () => {
  fc.assert(
    fc.property(arbitrary.tokens(20), (tokens) => {
      const out = join(...tokens);
      expect(out.join("")).toBe(tokens.join(""));
      for (const piece of out) expect(piece).not.toMatch(/\p{Surrogate}/u);
    }),
  );
});
