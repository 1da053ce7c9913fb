import { isFinal, type StreamPage } from "../shared.js";
import type { Body } from "./body.js";
import { sleep } from "./time.js";

/** How long (ms) between two looks at the database: while text comes, and at most while it does not. */
const SHORTEST_WAIT = 250;
const LONGEST_WAIT = 1000;

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
  try {
    while (page !== null) {
      body.write(page.text);
      if (isFinal(page.status)) break;
      wait =
        page.text === "" ? Math.min(LONGEST_WAIT, 2 * wait) : SHORTEST_WAIT;
      await sleep(wait);
      if (reader.aborted) break;
      page = await read(page.from + page.text.length);
    }
  } catch (error) {
    console.error("A stream could not be followed to its end:", error);
  }
  body.close();
}
