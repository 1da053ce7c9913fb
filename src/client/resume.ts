import { isFinal, type StreamPage } from "../shared.js";
import type { Body } from "./body.js";
import { retry, sleep } from "./time.js";

/** How long (ms) between two looks at the database: while text comes, and at most while it does not. */
const SHORTEST_WAIT = 250;
const LONGEST_WAIT = 1000;
/** How long (ms) the last words of a writer are waited for that was stopped from outside. It may be dead. */
const LAST_WORDS_WAIT = 5000;
/** How often a look that fails is repeated. */
const ATTEMPTS = 5;

/** What `lib.read` gives. */
type Read = StreamPage & { closing: boolean };

/**
 * Sends a page of a stream and what is saved after it, until the stream has
 * ended, the response is full or the reader has gone. Never rejects.
 */
export async function follow(
  first: Read,
  read: (from: number) => Promise<Read | null>,
  body: Body,
  gone: AbortSignal,
): Promise<void> {
  let page: Read | null = first;
  let wait = SHORTEST_WAIT;
  let endedAt: number | null = null;
  try {
    while (page !== null && !gone.aborted) {
      body.write(page.text);
      if (body.full) break;
      if (isFinal(page.status)) {
        endedAt ??= Date.now();
        if (!page.closing || Date.now() - endedAt > LAST_WORDS_WAIT) break;
      }
      wait =
        page.text === "" ? Math.min(LONGEST_WAIT, 2 * wait) : SHORTEST_WAIT;
      await sleep(wait);
      const offset: number = page.from + page.text.length;
      page = await retry(ATTEMPTS, () => read(offset));
    }
  } catch (error) {
    console.error("A stream could not be followed to its end:", error);
  }
  body.close();
}
