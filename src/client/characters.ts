import { isHighSurrogate } from "../shared.js";

/**
 * Makes whole characters of text that arrives cut anywhere, as a model's
 * tokens are. What comes out is valid Unicode, so both the HTTP body and the
 * database take it, and count the same offsets.
 */
export class CharacterJoiner {
  private half = "";

  /** The characters that are complete with `text`. A first half waits for its second. */
  push(text: string): string {
    const joined = this.half + text;
    const whole = isHighSurrogate(joined.charCodeAt(joined.length - 1))
      ? joined.length - 1
      : joined.length;
    this.half = joined.slice(whole);
    return wellFormed(joined.slice(0, whole));
  }

  /** What is left at the end: a half without its other half is U+FFFD. */
  end(): string {
    const rest = wellFormed(this.half);
    this.half = "";
    return rest;
  }
}

/** With the `u` flag, this matches only surrogates that are not part of a pair. */
const loneSurrogates = /\p{Surrogate}/gu;

function wellFormed(text: string): string {
  return text.replace(loneSurrogates, "\uFFFD");
}
