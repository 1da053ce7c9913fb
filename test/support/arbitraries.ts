import fc from "fast-check";

/** Characters that are easy to get wrong: of one to four bytes, sentence ends, pairs, joiners, a byte order mark. */
const characters = [
  ..."ab .!?\n",
  "é",
  "中",
  "。",
  "\uFEFF",
  "😀",
  "𝒳",
  "\u200D",
];

/** Text that is valid Unicode. */
export const text = (maxCharacters: number) =>
  fc
    .array(fc.constantFrom(...characters), { maxLength: maxCharacters })
    .map((all) => all.join(""));

/** Text cut at any code unit, through surrogate pairs too, with empty pieces between. */
export const tokens = (maxCharacters: number) =>
  fc
    .tuple(text(maxCharacters), fc.array(fc.nat(maxCharacters * 2)))
    .map(([whole, cuts]) => cutAt(whole, cuts));

function cutAt(whole: string, cuts: number[]): string[] {
  const offsets = [0, ...cuts, whole.length]
    .map((cut) => Math.min(cut, whole.length))
    .sort((a, b) => a - b);
  return offsets.slice(1).map((end, i) => whole.slice(offsets[i] ?? 0, end));
}
