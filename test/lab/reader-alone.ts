import fc from "fast-check";
import { resume } from "../../src/client/follow.js";
import { START_OFFSET } from "../../src/protocol.js";
import { cutLength, isFinal, statusOf03 } from "../../src/shared.js";
import { Action } from "./action.js";
import type { Run } from "./carry-out.js";
import { Browser } from "./client.js";
import { answerRequests, serve } from "./connections.js";
import type { Deployment } from "./lab-backend.js";
import { check } from "./invariants.js";
import { LabClock } from "./lab-clock.js";
import { storyOf } from "./manuscript.js";
import { PageReader } from "./page.js";
import { TextReader } from "./readers.js";
import {
  connection,
  int,
  one,
  page,
  rarely,
  some,
  type Value,
} from "./schedule.js";

/** The invariants of readers. */
const HOLD = /^(readers|statuses|nothing(Goes|Stays))/;
const MINUTE_MS = 60_000;

/** What happens to the readers of a stream without a backend. */
export const readings = fc.record({
  /** This many pieces of this length are appended, at this interval. */
  count: int(1, 10),
  length: fc.oneof(fc.nat(60), fc.nat(2400)),
  interval: int(1, 2500),
  /** How much later they are saved. */
  lag: fc.nat(2000),
  status: one("done", "done", "error", "aborted", "timeout"),
  /** If it is not done: how much is never saved, and how long it drains. */
  lost: rarely(5, 0, fc.nat(500)),
  drain: rarely(3, 0, fc.nat(4000)),
  /** When another session starts it, if no reader has. */
  startsAt: fc.nat(3000),
  driven: one<(boolean | "auto")[]>(true, "auto", false),
  page,
  /** The lengths of pages. Smaller ones would take a slow query longer than the run. */
  sizes: some(int(50, 3000), 4),
  requests: fc.array(
    fc.record({
      status: one(200, 200, 200, 205, 401, 503),
      connection: connection(600),
    }),
    { maxLength: 5 },
  ),
});
type Reading = Value<typeof readings>;

/** A stream whose state depends only on the time. Readers take it for a deployment. */
class PretendedStream {
  readonly streamId = "stream";
  readonly listeners = new Set<() => void>();
  readonly whole: string;
  private startedAt = Infinity;
  private pagesRead = 0;

  constructor(
    readonly clock: LabClock,
    private readonly plan: Reading,
  ) {
    const { count, length, startsAt } = plan;
    const story = storyOf(count * length + 1);
    this.whole = story.slice(0, cutLength(story, count * length));
    void clock.wait(startsAt).then(() => this.start());
  }

  private start(): void {
    if (this.startedAt < Infinity) return;
    this.startedAt = this.clock.time;
    const { count, interval, lag, drain } = this.plan;
    const saves = Array.from({ length: count }, (_, i) => i * interval + lag);
    for (const time of [...saves, saves.at(-1)! - drain]) {
      void this.clock.wait(time).then(() => {
        for (const listener of this.listeners) listener();
      });
    }
  }

  get readable(): number {
    return this.lengthAt(this.clock.time);
  }

  private lengthAt(time: number): number {
    const { count, interval, length } = this.plan;
    const pieces = Math.floor((time - this.startedAt) / interval) + 1;
    return cutLength(this.whole, Math.min(count, Math.max(0, pieces)) * length);
  }

  get tail() {
    const { clock, startedAt, whole, plan } = this;
    const isDone = plan.status === "done";
    const savable = whole.length - (isDone ? 0 : plan.lost);
    const saved = Math.min(savable, this.lengthAt(clock.time - plan.lag));
    const savedAt = startedAt + (plan.count - 1) * plan.interval + plan.lag;
    const isOver = clock.time >= savedAt - (isDone ? 0 : plan.drain);
    const claimed = startedAt < Infinity && clock.time < savedAt;
    const offset = cutLength(whole, saved);
    const begun = offset > 0 ? ("streaming" as const) : ("pending" as const);
    const status = isOver ? plan.status : begun;
    return { offset, status, claimed, draining: isOver && claimed };
  }

  get changes() {
    return [{ tail: this.tail }];
  }

  read(from: number) {
    const { offset: saved, ...state } = this.tail;
    const { sizes } = this.plan;
    const size = sizes[this.pagesRead++ % sizes.length]!;
    const last = cutLength(this.whole, Math.min(saved, from + size));
    const text = this.whole.slice(from, last);
    const end = from + text.length;
    const page = { ...state, text, from, next: end, upToDate: end >= saved };
    if (!page.upToDate) return { ...page, status: "streaming" as const };
    if (!isFinal(page.status)) page.next = Math.max(from, end - size);
    return page;
  }

  readonly streaming = {
    getStreamBody: (_ctx: unknown, _id: string, { from }: { from?: number }) =>
      Promise.resolve(from === undefined ? this.body : this.read(from)),
  };

  /** What a query without offsets returns. */
  private get body() {
    const { offset, status } = this.tail;
    return { text: this.whole.slice(0, offset), status: statusOf03(status) };
  }

  /** Answers the request that starts the stream. */
  write(): Response {
    if (this.startedAt < Infinity) return new Response(null, { status: 205 });
    this.start();
    const { whole, startedAt, clock, plan } = this;
    let [end, piece] = [0, 0];
    const body = new ReadableStream({
      pull: async (controller) => {
        if (piece === plan.count) return controller.close();
        await clock.wait(startedAt + piece++ * plan.interval - clock.time);
        const text = whole.slice(end, (end = this.readable));
        controller.enqueue(new TextEncoder().encode(text));
      },
    });
    return new Response(body, { headers: { [START_OFFSET]: "0" } });
  }
}

/** Shows a stream in a component, and reads it with `readStream`, until both have everything. */
export const readAlone = (reading: Reading) =>
  LabClock.during(async (clock) => {
    const stream = new PretendedStream(clock, reading);
    const deployment = stream as unknown as Deployment;
    const requests = [...reading.requests];
    answerRequests(clock, async (asked) => {
      const { status = 200, connection } = requests.shift() ?? {};
      const isPost = asked.method === "POST";
      if (isPost && status !== 200) return new Response(null, { status });
      const read = (from: number) => Promise.resolve(stream.read(from));
      const action = new Action(deployment);
      return serve(action, connection, asked, async (_ctx, request) =>
        isPost
          ? stream.write()
          : resume({ read } as never, request, stream.streamId, {}),
      );
    });
    const browser = new Browser();
    const { page, driven } = reading;
    const about = (name: string) => {
      const url = "https://app.lab/chat";
      return { name, deployment, url, driven, written: () => stream };
    };
    const readers = [
      new PageReader(about("component"), browser, page, "reader"),
      new TextReader({ ...about("readStream"), driven: false }),
    ];
    for (const reader of readers) void reader.read();
    const late = () => readers.filter(({ ended }) => !ended);
    await clock.runUntil(() => late().length === 0, 30 * MINUTE_MS);
    const stuck = late().map(({ name, status }) => `${name}: ${status}`);
    for (const reader of readers) {
      reader.alive = false;
      reader.unmount();
    }
    await clock.runUntil(() => false, MINUTE_MS);
    const { offset, status } = stream.tail;
    const saved = stream.whole.slice(0, offset);
    const stored = { stream: { status } };
    const run = { readers, browser, deployment, stored, saved, stuck };
    return check(run as unknown as Run, HOLD);
  });
