import { readStream } from "../../src/browser/index.js";
import { type StreamStatus, isFinal } from "../../src/shared.js";
import { TimerCount, type LabClock, type Owner } from "./lab-clock.js";
import type { Deployment } from "./lab-backend.js";
import type { Manuscript } from "./manuscript.js";

/** Whoever reads the stream, and what is wrong with what it was shown. */
export class Reader implements Owner {
  readonly timers = new TimerCount();
  alive = true;
  text = "";
  status: StreamStatus = "pending";
  /** Whether it knows that it has all. */
  ended = false;
  /** Whether it reads the shape of 0.3, in which an aborted stream is done. */
  reads03 = false;
  /** Whether it took the end of HTTP for done, while the database was out of reach. */
  hasGuessed = false;
  /** Whether it was told that there is no such stream. */
  refused = false;
  /** Sentences, with what the invariant that they break is called. */
  readonly complaints: {
    of: "prefix" | "growth" | "status" | "failure";
    says: string;
  }[] = [];

  constructor(
    readonly name: string,
    private readonly deployment: Deployment,
    /** The one that writes the stream, once there is one. */
    private readonly written: () => Manuscript | undefined,
  ) {}

  private get clock(): LabClock {
    return this.deployment.clock;
  }

  complain(of: Reader["complaints"][number]["of"], says: string): void {
    if (this.complaints.length < 5) {
      this.complaints.push({ of, says: `${this.name}: ${says}` });
    }
  }

  /** It begins from nothing, as a component that is mounted anew. */
  beginAnew(): void {
    this.text = "";
    this.status = "pending";
  }

  /** It is shown a piece of the text that starts at an offset. */
  show(from: number, piece: string): void {
    const { text } = this;
    if (from > text.length) {
      return this.complain(
        "prefix",
        `has ${text.length} and is shown what follows ${from}`,
      );
    }
    const known = text.slice(from, from + piece.length);
    if (!piece.startsWith(known)) {
      this.complain("growth", `what it has from ${from} on has changed`);
    }
    const news = piece.slice(known.length);
    if (news === "") return;
    const { whole = "", readable = 0 } = this.written() ?? {};
    if (
      text.length + news.length > readable ||
      !whole.startsWith(news, text.length)
    ) {
      let at = 0;
      while (news[at] === whole[text.length + at] && at < news.length) at++;
      this.complain(
        "prefix",
        `is shown ${JSON.stringify(news.slice(at, at + 30))} at ${text.length + at}, where ${JSON.stringify(whole.slice(text.length + at, text.length + at + 30))} was written, of ${readable}`,
      );
    }
    this.text += news;
  }

  /** It is shown all of the text. */
  showAll(text: string): void {
    if (text.length < this.text.length) {
      this.complain(
        "growth",
        `had ${this.text.length} and is shown ${text.length}`,
      );
    }
    this.show(0, text);
  }

  showStatus(status: StreamStatus): void {
    const rank = (one: StreamStatus) =>
      isFinal(one) ? 2 : one === "streaming" ? 1 : 0;
    const wasGuess = this.hasGuessed && this.status === "done";
    const changed = isFinal(this.status) && status !== this.status;
    if ((changed && !wasGuess) || rank(status) < rank(this.status)) {
      this.complain("status", `was told ${this.status}, then ${status}`);
    }
    this.status = status;
  }

  /** Reads on over HTTP from where it is, as `readStream` does, to the end of the stream. */
  async resume(host: string): Promise<void> {
    const reading = this.clock.as(this, async () => {
      const stream = readStream(`https://${host}/resume`, {
        streamId: this.deployment.streamId,
        from: this.text.length,
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

  /** Looks at the saved text from offset to offset, as `useStream` with `incremental` does, until `enough` and then to its end. */
  async follow(
    incremental: boolean,
    looks: number[],
    enough: () => boolean,
  ): Promise<void> {
    const { streaming, streamId, app } = this.deployment;
    this.reads03 = !incremental;
    let from = this.text.length;
    let patience = 1;
    for (let i = 0; this.alive; i++) {
      const last = enough();
      const before = this.text.length;
      if (incremental) {
        const page = await streaming.getStreamBody(app, streamId, from);
        if (this.deployment.tail === null) break;
        this.show(page.from, page.text);
        this.showStatus(page.status);
        if (page.next < from) {
          this.complain("growth", `is sent back from ${from} to ${page.next}`);
        }
        if (last && page.next === from && isFinal(page.status)) break;
        from = page.next;
      } else {
        const body = await streaming.getStreamBody(app, streamId);
        if (this.deployment.tail === null) break;
        this.showAll(body.text);
        this.showStatus(body.status);
        if (last) break;
      }
      // A subscription is told only of what changes; these looks get rarer while nothing does.
      patience = this.text.length > before ? 1 : Math.min(patience * 1.6, 60);
      if (!last) {
        await this.clock.wait((looks[i % looks.length] ?? 500) * patience);
      }
    }
    this.refused = this.deployment.tail === null;
    this.ended = true;
  }
}
