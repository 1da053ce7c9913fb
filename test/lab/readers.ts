import { readStream } from "../../src/browser/index.js";
import { type StreamStatus, isFinal, statusOf03 } from "../../src/shared.js";
import { TimerCount, type Owner } from "./lab-clock.js";
import type { Deployment } from "./lab-backend.js";

/** What has been written: the whole text, and how much of it can be read by now. */
interface Written {
  whole: string;
  readable: number;
}

/** A client that reads the stream. It notes what was wrong with the text it was shown. */
export class Reader implements Owner {
  readonly timers = new TimerCount();
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
  /** Sentences, by the invariant that they break. */
  readonly complaints: {
    of: "prefix" | "growth" | "status" | "failure";
    says: string;
  }[] = [];

  constructor(
    readonly name: string,
    private readonly deployment: Deployment,
    private readonly written: () => Written | undefined,
  ) {}

  complain(of: Reader["complaints"][number]["of"], says: string): void {
    if (this.complaints.length < 5) {
      this.complaints.push({ of, says: `${this.name}: ${says}` });
    }
  }

  /** It starts with nothing, like a component that is mounted again. */
  beginAnew(): void {
    this.text = "";
    this.status = "pending";
  }

  /** It is shown a piece of the text that starts at an offset. */
  show(from: number, piece: string): void {
    const { text } = this;
    if (from > text.length) {
      const gap = `has ${text.length} and is shown what follows ${from}`;
      return this.complain("prefix", gap);
    }
    const known = text.slice(from, from + piece.length);
    if (!piece.startsWith(known)) {
      this.complain("growth", `what it has from ${from} on has changed`);
    }
    const fresh = piece.slice(known.length);
    if (fresh === "") return;
    const { whole = "", readable = 0 } = this.written() ?? {};
    this.text += fresh;
    if (this.text.length > readable || !whole.startsWith(fresh, text.length)) {
      const difference = firstDifference(this.text, whole);
      this.complain("prefix", `${difference}, of ${readable}`);
    }
  }

  /** It is shown the whole text. */
  showAll(text: string): void {
    const had = this.text.length;
    if (text.length < had) {
      this.complain("growth", `had ${had} and is shown ${text.length}`);
    }
    this.show(0, text);
  }

  showStatus(status: StreamStatus): void {
    const rank = (one: StreamStatus) =>
      isFinal(one) ? 2 : one === "streaming" ? 1 : 0;
    const wasGuess = this.hasGuessed && this.status === "done";
    // After a switch to the query in the shape of 0.3, aborted reads as done.
    const is03 = this.reads03 && status === statusOf03(this.status);
    const hasChanged = isFinal(this.status) && status !== this.status && !is03;
    if ((hasChanged && !wasGuess) || rank(status) < rank(this.status)) {
      this.complain("status", `was told ${this.status}, then ${status}`);
    }
    this.status = status;
  }

  /** Reads the stream with `readStream`. */
  async resume(host: string, drive = false): Promise<void> {
    const reading = this.deployment.clock.as(this, async () => {
      const stream = readStream(`https://${host}/resume`, {
        streamId: this.deployment.streamId,
        drive,
      });
      for await (const piece of stream) this.show(this.text.length, piece);
      this.showStatus(stream.status);
    });
    await reading.catch((error: Error & { status?: number }) => {
      if (error.status === 404) this.refused = true;
      else this.complain("failure", String(error));
    });
    this.ended = true;
  }
}

/** Where a text first differs from the expected one, in words. */
export function firstDifference(text: string, expected: string): string {
  let at = 0;
  while (at < text.length && text[at] === expected[at]) at++;
  const [is, should] = [text, expected].map((all) =>
    JSON.stringify(all.slice(at, at + 30)),
  );
  return `at ${at} (${text.length} long for ${expected.length}): ${is} for ${should}`;
}
