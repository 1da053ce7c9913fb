import { decodeGenerator, encode } from "gpt-tokenizer/encoding/o200k_base";

/**
 * A text as a model would emit it, token by token. Where a character takes
 * several tokens (much of Chinese, most emoji), nothing comes until it is whole:
 * so it is with the deltas of a real API.
 */
export function tokenize(text: string): string[] {
  return [...decodeGenerator(encode(text))].filter((token) => token !== "");
}
