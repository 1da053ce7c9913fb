import { isComplete, isFinal, type StreamPage } from "../shared.js";
import type { Body } from "./body.js";
import { retry, sleep } from "./time.js";

/** How long (ms) between two looks at the database: while text comes, and at most while it does not. */
const SHORTEST_WAIT = 250;
const LONGEST_WAIT = 1000;
/** How long (ms) the last words of a writer are waited for that was stopped from outside. */
const LAST_WORDS_WAIT = 2000;
/** How often a look that fails is repeated. */
const ATTEMPTS = 5;

/**
 * Sends a page of a stream and what is saved after it, until the stream has
 * ended or the reader has gone. Never rejects.
 */
export async function follow(
  first: StreamPage,
  read: (from: number) => Promise<StreamPage | null>,
  body: Body,
  reader: AbortSignal,
): Promise<void> {
  let page: StreamPage | null = first;
  let wait = SHORTEST_WAIT;
  let ended = false;
  try {
    while (page !== null) {
      body.write(page.text);
      if (ended || isComplete(page.status)) break;
      ended = isFinal(page.status);
      wait =
        page.text === "" ? Math.min(LONGEST_WAIT, 2 * wait) : SHORTEST_WAIT;
      await sleep(ended ? LAST_WORDS_WAIT : wait);
      if (reader.aborted) break;
      const offset: number = page.from + page.text.length;
      page = await retry(ATTEMPTS, () => read(offset));
    }
  } catch (error) {
    console.error("A stream could not be followed to its end:", error);
  }
  body.close();
}
