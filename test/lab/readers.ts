import { readStream } from "../../src/browser/index.js";
import { type StreamStatus, isFinal, statusOf03 } from "../../src/shared.js";
import { TimerCount, type Owner } from "./lab-clock.js";
import type { Deployment } from "./lab-backend.js";

/** What a reader reads. */
interface About {
  name: string;
  deployment: Deployment;
  url: string;
  driven?: boolean | "auto";
  /** What has been written: the whole text, and how much of it can be read by now. */
  written: () => { whole: string; readable: number } | undefined;
}

/** A client that reads the stream. It notes what is wrong with the text it is shown. */
export abstract class Reader {
  alive = true;
  text = "";
  status: StreamStatus = "pending";
  /** Whether it knows that it has everything. */
  ended = false;
  /** Whether it reads the shape of 0.3, in which an aborted stream is done. */
  reads03 = false;
  /** Whether it was told that the stream does not exist. */
  refused = false;
  /** Whether it has taken the end of HTTP for `done`, with the database out of reach. */
  hasGuessed = false;
  /** How many of its requests to write the stream were answered. */
  answered = 0;
  /** The first complaint of each kind. */
  readonly complaints: Partial<
    Record<"prefix" | "growth" | "status" | "failure", string>
  > = {};

  readonly name: string;
  protected readonly deployment: Deployment;

  constructor(protected readonly about: About) {
    this.name = about.name;
    this.deployment = about.deployment;
  }

  protected complain(of: keyof Reader["complaints"], says: string): void {
    this.complaints[of] ??= `${this.name}: ${says}`;
  }

  /** Starts with nothing, like a component that is mounted again. */
  protected beginAnew(): void {
    this.text = "";
    this.status = "pending";
  }

  /** Takes the whole text. */
  protected showText(text: string): void {
    const had = this.text;
    if (!text.startsWith(had)) {
      const difference = firstDifference(text, had);
      this.complain("growth", `is shown another text ${difference}`);
    }
    this.extend(text.slice(had.length));
  }

  /** Takes what follows its text. */
  protected extend(piece: string): void {
    if (piece === "") return;
    const { length } = this.text;
    this.text += piece;
    const { whole = "", readable = 0 } = this.about.written() ?? {};
    if (this.text.length > readable || !whole.startsWith(piece, length)) {
      const difference = firstDifference(this.text, whole);
      this.complain("prefix", `${difference}, of ${readable}`);
    }
  }

  protected showStatus(status: StreamStatus): void {
    const wasGuess = this.hasGuessed && this.status === "done";
    // After a switch to the query in the shape of 0.3, aborted reads as done.
    const is03 = this.reads03 && status === statusOf03(this.status);
    const hasChanged = isFinal(this.status) && status !== this.status && !is03;
    if ((hasChanged && !wasGuess) || isBack(this.status, status)) {
      this.complain("status", `was told ${this.status}, then ${status}`);
    }
    this.status = status;
  }

  /** Reads the stream until it has ended and everything has arrived. */
  abstract read(): Promise<void>;

  unmount(): void {}
}

/** Reads the stream with `readStream`. */
export class TextReader extends Reader implements Owner {
  readonly timers = new TimerCount();

  async read(): Promise<void> {
    const { clock, streamId } = this.deployment;
    const { url, driven: drive } = this.about;
    const reading = clock.as(this, async () => {
      const stream = readStream(url, { streamId, drive: drive === true });
      for await (const piece of stream) this.extend(piece);
      this.showStatus(stream.status);
    });
    await reading.catch((error: Error & { status?: number }) => {
      if (error.status === 404) this.refused = true;
      else this.complain("failure", String(error));
    });
    this.ended = true;
  }
}

/** Whether a stream seems to go back to `pending`, or to live again after its end. */
export const isBack = (was: StreamStatus, is: StreamStatus) =>
  !isFinal(is) && was !== is && was !== "pending";

/** Says where a text first differs from the expected one. */
export function firstDifference(text: string, expected: string): string {
  let at = 0;
  while (at < text.length && text[at] === expected[at]) at++;
  const [is, should] = [text, expected].map((all) =>
    JSON.stringify(all.slice(at, at + 30)),
  );
  return `at ${at} (${text.length} long for ${expected.length}): ${is} for ${should}`;
}
