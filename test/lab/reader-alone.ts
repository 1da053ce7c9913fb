import fc from "fast-check";
import { readStream } from "../../src/browser/index.js";
import type { Source } from "../../src/browser/stream-reader.js";
import { resume } from "../../src/client/follow.js";
import { START_OFFSET } from "../../src/protocol.js";
import { cutLength, isFinal, statusOf03 } from "../../src/shared.js";
import { SwitchingComponent } from "../support/switching.js";
import { Action } from "./action.js";
import { Browser, Client, type Question } from "./client.js";
import { serve, untilAborted } from "./connections.js";
import type { Fault } from "./happenings.js";
import type { Deployment } from "./lab-backend.js";
import type { Outcome } from "./lab.js";
import { LabClock } from "./lab-clock.js";
import { storyOf } from "./manuscript.js";
import { Shown } from "./readers.js";
import * as plan from "./schedule.js";

const { rarely, some, STABLE } = plan;
const MINUTE_MS = 60_000;

/** What happens to the readers of a stream that only pretends to have a backend. */
export const readings = fc.record({
  /** After each pause, so much text is appended. */
  pieces: some(fc.tuple(rarely(2, 0, fc.nat(2500)), fc.nat(60)), 10),
  scale: fc.constantFrom(1, 1, 40),
  status: fc.constantFrom("done", "done", "error", "aborted", "timeout"),
  /** How much later text is saved. */
  lag: fc.nat(2000),
  /** If it is not done: how much is never saved, and how long it drains. */
  lost: rarely(5, 0, fc.nat(500)),
  drain: rarely(3, 0, fc.nat(4000)),
  /** When another session starts it. */
  startsAt: fc.nat(3000),
  driven: fc.constantFrom<(boolean | "auto")[]>(true, "auto", false),
  /** Whether `readStream` drives, too. */
  drives: fc.boolean(),
  page: plan.page,
  /** The lengths of pages. */
  sizes: some(fc.integer({ min: 2, max: 3000 }), 4),
  requests: fc.array(
    fc.record({
      status: fc.constantFrom(200, 200, 200, 205, 401, 503),
      connection: plan.connection(600),
    }),
    { maxLength: 5 },
  ),
});
type Reading = typeof readings extends fc.Arbitrary<infer T> ? T : never;

/** Shows a stream with a reader of the page, and reads it with `readStream`, until both have everything. */
export async function readAlone(reading: Reading): Promise<Outcome> {
  const clock = new LabClock();
  const happenings = new Set<Fault>();
  const { error, warn } = console;
  console.error = console.warn = () => {};
  try {
    const verdicts = await clock.during(() => read(reading, clock, happenings));
    return { happenings, verdicts };
  } finally {
    Object.assign(console, { error, warn });
  }
}

async function read(
  { page, scale, lag, sizes, ...reading }: Reading,
  clock: LabClock,
  happenings: Set<Fault>,
): Promise<Outcome["verdicts"]> {
  const isDone = reading.status === "done";
  const [lost, drain] = isDone ? [0, 0] : [reading.lost, reading.drain];
  const story = storyOf(reading.pieces.length * 60 * scale + 1);
  const clients: Client[] = [];
  let [at, end, pagesRead, startedAt] = [0, 0, 0, Infinity];
  const arrivals = reading.pieces.map(([pause, length]) => {
    end = cutLength(story, end + length * scale);
    return { at: (at += pause), end };
  });
  const whole = story.slice(0, end);
  const savable = cutLength(whole, Math.max(0, end - lost));
  const readable = (time = clock.time) =>
    arrivals.findLast(({ at }) => startedAt + at <= time)?.end ?? 0;
  const saved = () => Math.min(savable, readable(clock.time - lag));
  const timeLeft = () => startedAt + at + lag - clock.time;
  const start = () => {
    if (startedAt < Infinity) return;
    startedAt = clock.time;
    for (const moment of [...arrivals, { at: at - drain }]) {
      void clock.wait(moment.at + lag).then(() => {
        for (const client of clients) client.askAll();
      });
    }
  };
  void clock.wait(reading.startsAt).then(start);

  /** Answers the app's query, and the reads of `resume`. */
  const query = ({ from }: Omit<Question, "streamId">) => {
    const isOver = timeLeft() <= drain;
    const begun = saved() > 0 ? "streaming" : "pending";
    const status = isOver ? reading.status : begun;
    if (from === undefined) {
      return { text: whole.slice(0, saved()), status: statusOf03(status) };
    }
    const size = sizes[pagesRead++ % sizes.length]!;
    const end = cutLength(
      whole,
      Math.max(from, Math.min(saved(), from + size)),
    );
    const upToDate = end >= saved();
    return {
      ...{ text: whole.slice(from, end), from, upToDate },
      next: upToDate && !isOver ? Math.max(from, end - size) : end,
      status: upToDate ? status : ("streaming" as const),
      ...{ claimed: startedAt < Infinity && timeLeft() > 0 },
      draining: isOver && timeLeft() > 0,
    };
  };

  const write = () => {
    if (startedAt < Infinity) return new Response(null, { status: 205 });
    start();
    let next = 0;
    const body = new ReadableStream({
      pull: async (controller) => {
        const from = arrivals[next - 1]?.end ?? 0;
        const arrival = arrivals[next++];
        if (!arrival) return controller.close();
        await clock.wait(startedAt + arrival.at - clock.time);
        const text = whole.slice(from, arrival.end);
        controller.enqueue(new TextEncoder().encode(text));
      },
    });
    return new Response(body, { headers: { [START_OFFSET]: "0" } });
  };
  const requests = [...reading.requests];
  const fetch = async (url: string, { method, signal }: RequestInit) => {
    const { status = 200, connection = STABLE } = requests.shift() ?? {};
    const isPost = method === "POST";
    if (isPost && status !== 200) return new Response(null, { status });
    const surroundings = { clock, happenings } as unknown as Deployment;
    const action = new Action(surroundings, plan.CALM);
    const stream = { read: (from: number) => Promise.resolve(query({ from })) };
    const request = { url, method: method ?? "GET", signal: signal ?? null };
    const response = await clock.asNobody(() =>
      serve(surroundings, action, connection, request, (_ctx, request) =>
        isPost
          ? Promise.resolve(write())
          : resume(stream as never, request, "stream", {}),
      ),
    );
    return untilAborted(response, request.signal);
  };

  const browser = new Browser();
  const [client, other] = [page, { ...page, down: [] }].map(
    (plan) =>
      new Client(clock, browser, happenings, plan, (question) =>
        Promise.resolve(query(question)),
      ),
  ) as [Client, Client];
  clients.push(client, other);
  const written = () => ({ whole, readable: readable() });
  const shown = new Shown("the component", written);
  let props: Source = {
    ...{ query: "chat:body", streamId: "stream", fetch },
    ...{ url: "https://app.test/chat", driven: reading.driven },
    incremental: page.incremental,
  };
  let component: SwitchingComponent | null = null;
  const mount = () => {
    shown.beginAnew();
    component = new SwitchingComponent(client, props, ({ snapshot }) => {
      if (!props.streamId) return shown.beginAnew();
      shown.showAll(snapshot.text);
      const { status } = snapshot;
      shown.hasGuessed ||= status === "done" && query({}).status !== "done";
      shown.showStatus(status);
    });
  };
  const unmount = () => {
    component?.unmount();
    component = null;
  };
  const update = (changes: Partial<Source>, client?: Client) => {
    props = { ...props, ...changes };
    component?.update(changes, client);
  };
  const change = ({ what }: plan.PageChange) => {
    if (what === "token") update({ authToken: "second" }, other);
    if (what === "drive") update({ driven: true });
    if (what === "follow") update({ driven: false });
    if (what === "other query") update({ incremental: !props.incremental });
    if (what === "no stream") update({ streamId: undefined });
    if (what === "online") window.dispatchEvent(new Event("online"));
    if (what === "hidden") clock.isHidden = true;
    if (what === "unmounted") unmount();
  };
  const undo = ({ what }: plan.PageChange) => {
    if (what === "no stream") update({ streamId: "stream" });
    if (what === "hidden") clock.show();
    if (what === "unmounted" && component === null) mount();
  };

  const text = new Shown("readStream", written);
  const url = "https://app.test/chat";
  const { drives: drive } = reading;
  const stream = readStream(url, { streamId: "stream", fetch, drive });
  let isRead = false;
  clock.as(browser, () => {
    mount();
    for (const one of page.changes) {
      void clock.wait(one.at).then(() => clock.as(browser, () => change(one)));
      const until = one.at + ("for" in one ? one.for : 0);
      void clock.wait(until).then(() => clock.as(browser, () => undo(one)));
    }
    void (async () => {
      for await (const piece of stream) text.show(text.text.length, piece);
      text.showStatus(stream.status);
    })()
      .catch((error: Error & { status?: number }) => {
        if (error.status !== 401) text.complain("failure", String(error));
      })
      .then(() => (isRead = true));
  });
  const isWhole = () =>
    isRead && isFinal(shown.status) && shown.text.length >= savable;
  await clock.runUntil(isWhole, 30 * MINUTE_MS);
  const stuck = isWhole() ? null : `${shown.status}, ${shown.text.length}`;
  // Nothing changes any more.
  await clock.runUntil(() => false, MINUTE_MS);
  const { status } = reading;
  const isRight = [status, statusOf03(status)].includes(shown.status);
  clock.as(browser, unmount);
  await clock.runUntil(() => false, MINUTE_MS);
  const { timers, subscriptions } = browser;
  const isLeft = timers.armed > 0 || subscriptions > 0;
  return {
    ...Object.fromEntries(
      [shown, text].flatMap(({ complaints }) =>
        complaints.map(({ of, says }) => [of, says]),
      ),
    ),
    nothingGoesOnForEver: stuck,
    readersEndAsTheStream: isRight ? null : `${shown.status}, not ${status}`,
    nothingStaysOfAPage: isLeft ? `${timers.armed}, ${subscriptions}` : null,
  };
}
