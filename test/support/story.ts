/**
 * A text of any length that repeats nowhere, so that a piece which is lost,
 * doubled or out of place shows: numbered sentences, with characters of one to
 * four bytes.
 */
export function story(sentences: number): string {
  const scripts = ["plain", "naïve", "字符串", "🎭 mask", "👩‍👩‍👧 family"];
  return Array.from(
    { length: sentences },
    (_, i) => `Sentence ${i} is ${scripts[i % scripts.length]}. `,
  ).join("");
}

/** Cuts a text into pieces of up to `size` code units, surrogate pairs included. */
export function tokens(text: string, size = 5): string[] {
  const out: string[] = [];
  for (let at = 0; at < text.length; at += size) {
    out.push(text.slice(at, at + size));
  }
  return out;
}
