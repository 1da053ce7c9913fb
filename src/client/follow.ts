import type { StreamPage } from "../shared.js";
import { isFinal } from "../status.js";
import { now, pause, retry } from "../time.js";

/** What `lib.read` gives. */
export type SavedPage = StreamPage & { upToDate: boolean; closing: boolean };

/** Reads the saved text from an offset on. Null says that there is no such stream. */
export type ReadPage = (from: number) => Promise<SavedPage | null>;

/** How long (ms) between two looks at the database: while text comes, and at most in a pause. */
const SHORTEST_WAIT = 250;
const LONGEST_WAIT = 2000;
/** How much longer each wait is than the one before it while nothing comes. */
const SLOWER = 1.5;
/** How long (ms) the last words of a writer are waited for that was stopped from outside. It may be dead. */
const LAST_WORDS_WAIT = 5000;
/** How often a look that fails is repeated. */
export const ATTEMPTS = 5;

/** A look at the saved text, repeated if it fails. */
export function look(read: ReadPage, from: number): Promise<SavedPage | null> {
  return retry(ATTEMPTS, () => read(from));
}

/** Whether a page is the last: the stream has ended, and nothing can come after its text. */
export function isLast(page: SavedPage): boolean {
  return isFinal(page.status) && !page.closing;
}

/**
 * A page of a stream and all that is saved after it, each page behind the one
 * before, until the stream has ended or been deleted or the reader has gone. A
 * page may be empty.
 */
export async function* follow(
  first: SavedPage,
  read: ReadPage,
  gone: AbortSignal,
): AsyncGenerator<SavedPage> {
  let page: SavedPage | null = first;
  let wait = SHORTEST_WAIT;
  let endedAt: number | null = null;
  while (page !== null && !gone.aborted) {
    yield page;
    if (isLast(page)) return;
    if (isFinal(page.status)) {
      endedAt ??= now();
      if (now() - endedAt > LAST_WORDS_WAIT) return;
    }
    const end: number = page.from + page.text.length;
    if (page.upToDate) {
      wait =
        page.text === ""
          ? Math.min(LONGEST_WAIT, SLOWER * wait)
          : SHORTEST_WAIT;
      await pause(wait, gone);
    }
    if (!gone.aborted) page = await look(read, end);
  }
}
