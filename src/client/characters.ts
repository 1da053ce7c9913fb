import { isHighSurrogate } from "../shared.js";

/**
 * Joins text that arrives cut anywhere, such as a model's tokens, into whole
 * characters. The result is valid Unicode, so the HTTP body and the database both
 * accept it and count the same offsets.
 */
export class CharacterJoiner {
  private half = "";

  /** The characters completed by `text`. The first half of a pair waits for the second. */
  push(text: string): string {
    const joined = this.half + text;
    const whole = isHighSurrogate(joined.charCodeAt(joined.length - 1))
      ? joined.length - 1
      : joined.length;
    this.half = joined.slice(whole);
    return wellFormed(joined.slice(0, whole));
  }

  /** The rest at the end. A half without its other half becomes U+FFFD. */
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
