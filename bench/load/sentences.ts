/** What is written under load: sentences that say whose they are, which, and when they were written. */

const words = ["plain", "naïve", "字符串", "🎭 mask", "👩‍👩‍👧 family"];

export function sentence(streamId: string, index: number, now: number): string {
  return `Stream ${streamId} says ${words[index % words.length]} at ${now} in sentence ${index}. `;
}

const stamp = /(?<= at )\d+(?= in sentence \d+\. )/g;

/** When the sentences were written that are whole (ms since 1970). */
export function stampsOf(text: string): number[] {
  return [...text.matchAll(stamp)].map(([time]) => Number(time));
}

/** Whether a text is exactly these sentences of this stream. */
export function isWhole(
  text: string,
  streamId: string,
  sentences: number,
): boolean {
  const times = stampsOf(text);
  const expected = times.map((time, i) => sentence(streamId, i, time)).join("");
  return times.length === sentences && text === expected;
}
