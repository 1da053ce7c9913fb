import fc from "fast-check";
import type { FlushOptions } from "../../src/client/index.js";

// All that happens to one stream. Times are in ms, from the run's beginning if
// nothing else is said. What comes first in a list of choices is what a failing
// schedule is made smaller towards.

export interface Schedule {
  flush: "sentence" | "line" | FlushOptions;
  writing: Writing;
  /** Who asks for the stream to be written; one gets it. */
  callers: CallerPlan[];
  /** Jobs that take the stream over, one attempt each. */
  takeovers: TakeoverPlan[];
  /** What the app's `onComplete` does, each time that it runs; null if there is none. After these, it works. */
  callback: CallbackAct[] | null;
  outside: OutsideEvent[];
  readers: ReaderPlan[];
  /** How late scheduled functions start, in turn, over and over. */
  lateness: number[];
}

/** What a writer appends: each time half a character or none, so much of a story, and then a pause. */
export interface Writing {
  pieces: { half: string; length: number; pause: number }[];
  /** The lengths of all pieces are multiplied by this. */
  scale: number;
  /** The pauses are multiplied by this. */
  pace: number;
  style: WriterStyle;
  throws: boolean;
}
export type WriterStyle =
  | "generates"
  | "awaits its appends"
  | "does not await"
  | "ignores its signal"
  | "throws when stopped";

/** What becomes of one call of a mutation or query by an action. */
export type CallPlan =
  | "prompt"
  /** An error, and nothing was done. */
  | "refused"
  /** It was done, and then there was an error. */
  | "lost"
  /** An error at once, and so much later it is done after all. */
  | { late: number }
  /** It arrives so much later, and is answered so much after that. */
  | { before: number; after: number };

/** When an action dies: at a time after its start, or at a call: before it arrives, when it is done and not answered, when it is answered. */
export type DeathPlan =
  { at: number } | { call: number; moment: "before" | "between" | "after" };

export interface ActionPlan {
  /** How its calls go, in turn, over and over. */
  calls: CallPlan[];
  /** From this call on, all are refused: nothing can be saved any more. */
  brokenFrom: number | null;
  death: DeathPlan | null;
  /** Whether its calls that are on their way arrive when it has ended. */
  orphansArrive: boolean;
}

/** What becomes of the connection that a body comes over. */
export interface ConnectionPlan {
  /** How long after its request (ms) the client leaves, if there is no head by then. */
  leavesAt: number | null;
  /** How late the head of the answer comes (ms), or that it does not. */
  answer: number | "lost";
  /** After so many bytes nothing arrives any more. Null: all of it does. */
  cutAfter: number | null;
  /** How the client takes note: an error, an end as if that were all, or not at all. */
  as: "error" | "end" | "silence";
  /** What the platform does when the client has gone: a deployment fires the request's signal; others cancel the body. */
  noticed: "signal" | "cancel" | "not";
}

export interface TakeoverPlan {
  at: number;
  /** Before which piece its writer throws; null if it does not. */
  throwsAt: number | null;
  action: ActionPlan;
}

/** All but the last two fail after they have counted. */
export type CallbackAct =
  | "throws"
  | "exceeds a limit"
  | "returns rubbish"
  /** The transaction that runs it fails as a whole. */
  | "cannot be caught"
  | "deletes the stream"
  | "works";

export interface CallerPlan {
  at: number;
  how: "stream" | "generate" | "take over";
  action: ActionPlan;
  connection: ConnectionPlan;
  /** Whether the request is lost on its way, the first time. */
  isLost: boolean;
  /** By what the client asks and reads: `fetch`, and then `readStream` or pages; or the hook. */
  by: "resume" | "pages" | "hook";
  page: PagePlan;
}

/** A component that shows the stream by `useStream`, and the page that it is on. */
export interface PagePlan {
  incremental: boolean;
  strict: boolean;
  /** How long each update of a subscription is on its way, in turn, over and over. */
  lags: number[];
  /** When the WebSocket is down, and when the app's query throws. */
  down: Span[];
  failing: Span[];
  changes: PageChange[];
}
export interface Span {
  at: number;
  for: number;
}
export type PageChange = { at: number } & (
  | { what: "token" | "drive" | "follow" | "other query" | "online" }
  /** For so long: not mounted, no stream to show, in a hidden tab. */
  | { what: "unmounted" | "no stream" | "hidden"; for: number }
);

export type ReaderPlan = {
  at: number;
  /** How long it waits between two looks, in turn, over and over. */
  looks: number[];
} & (
  | { how: "pages" | "whole" }
  | { how: "hook"; page: PagePlan }
  | {
      how: "resume";
      answers: { action: ActionPlan; connection: ConnectionPlan }[];
    }
);

export type OutsideEvent = { at: number } & (
  | { what: "abort" | "delete" | "cron" }
  | {
      what: "set";
      status: "done" | "error" | "timeout" | "aborted" | "streaming";
    }
  /** What Date.now() says jumps. */
  | { what: "clock"; by: number }
  /** Date.now() jumps as a laptop's does that slept, and the cron runs so much later. */
  | { what: "sleep"; for: number; cronAfter: number }
  /** Nothing runs for so long, then what was due, late. */
  | { what: "stall"; for: number }
);

/** Mostly `usual`, in one case of `parts` something else. */
const rarely = <T, U>(parts: number, usual: T, other: fc.Arbitrary<U>) =>
  fc.oneof(
    { weight: parts - 1, arbitrary: fc.constant(usual) },
    { weight: 1, arbitrary: other },
  );

const SECOND = 1000;
const MINUTE = 60 * SECOND;

const call: fc.Arbitrary<CallPlan> = rarely<CallPlan, CallPlan>(
  2,
  "prompt",
  fc.oneof(
    fc.constantFrom<CallPlan>("refused", "lost"),
    fc.record({ late: fc.nat(3000) }),
    fc.record({ before: fc.nat(800), after: fc.nat(800) }),
    fc.record({ before: fc.nat(20), after: fc.nat(20) }),
  ),
);

// Seven failures in a row stop a writer, 22 would lose text, so there is one
// that goes well among so few.
const calls = (maxLength: number) =>
  rarely(
    3,
    ["prompt" as const] as CallPlan[],
    fc
      .array(call, { maxLength, size: "max" })
      .map((all): CallPlan[] => [...all, "prompt"]),
  );

const death: fc.Arbitrary<DeathPlan> = fc.oneof(
  fc.record({
    call: fc.nat(12),
    moment: fc.constantFrom("before", "between", "after"),
  }),
  fc.record({ at: fc.nat(6000) }),
);

const action = (deaths: number, breakdowns: number): fc.Arbitrary<ActionPlan> =>
  fc.record({
    calls: calls(10),
    brokenFrom: rarely(breakdowns, null, fc.nat(8)),
    death: rarely(deaths, null, death),
    orphansArrive: fc.boolean(),
  });

const connection = (bytes: number): fc.Arbitrary<ConnectionPlan> =>
  fc.record({
    leavesAt: rarely(8, null, fc.nat(1000)),
    answer: rarely<ConnectionPlan["answer"], ConnectionPlan["answer"]>(
      5,
      0,
      fc.oneof(fc.constant("lost" as const), fc.nat(2000)),
    ),
    cutAfter: rarely(2, null, fc.nat(bytes)),
    as: fc.constantFrom("error", "end", "error", "end", "silence"),
    noticed: fc.constantFrom("signal", "cancel", "signal", "not"),
  });

const looks = fc.array(fc.integer({ min: 200, max: 1500 }), {
  minLength: 1,
  maxLength: 4,
});

const span = fc.record({ at: fc.nat(6000), for: fc.nat(3000) });
const change: fc.Arbitrary<PageChange> = fc
  .tuple(
    fc.nat(6000),
    fc.oneof(
      fc.record({
        what: fc.constantFrom(
          "token",
          "drive",
          "follow",
          "other query",
          "online",
        ),
      }),
      fc.record({
        what: fc.constantFrom("unmounted", "no stream", "hidden"),
        for: fc.oneof(fc.constant(0), fc.nat(2000), fc.nat(8000)),
      }),
    ),
  )
  .map(([at, what]) => ({ at, ...what }));

const page: fc.Arbitrary<PagePlan> = fc.record({
  incremental: fc.boolean(),
  strict: fc.boolean(),
  lags: rarely(2, [20], fc.array(fc.nat(1500), { minLength: 1, maxLength: 4 })),
  down: rarely(3, [], fc.array(span, { minLength: 1, maxLength: 2 })),
  failing: rarely(5, [], fc.array(span, { minLength: 1, maxLength: 1 })),
  changes: rarely(2, [], fc.array(change, { minLength: 1, maxLength: 3 })),
});

const reader = (bytes: number): fc.Arbitrary<ReaderPlan> => {
  const at = rarely(2, 0, fc.nat(8000));
  return fc.oneof(
    fc.record({ at, looks, how: fc.constantFrom("pages", "whole") }),
    fc.record({ at, looks, page, how: fc.constant("hook" as const) }),
    fc.record({
      at,
      looks,
      how: fc.constant("resume" as const),
      answers: fc.array(
        fc.record({ action: action(4, 8), connection: connection(bytes) }),
        { maxLength: 4 },
      ),
    }),
  );
};

const outside: fc.Arbitrary<OutsideEvent> = fc
  .tuple(
    rarely(40, 5000, fc.constant(30 * MINUTE)).chain((max) => fc.nat(max)),
    fc.oneof(
      fc.record({
        what: fc.constantFrom("abort", "delete", "cron", "cron"),
      }),
      fc.record({
        what: fc.constant("set" as const),
        status: fc.constantFrom(
          "done",
          "error",
          "timeout",
          "aborted",
          "streaming",
        ),
      }),
      fc.record({
        what: fc.constant("clock" as const),
        by: fc.oneof(
          fc.integer({ min: -10 * SECOND, max: -100 }),
          fc.integer({ min: SECOND, max: 60 * MINUTE }),
        ),
      }),
      fc.record({
        what: fc.constant("sleep" as const),
        for: fc.integer({ min: 15 * MINUTE, max: 60 * MINUTE }),
        cronAfter: fc.nat(3000),
      }),
      fc.record({
        what: fc.constant("stall" as const),
        for: fc.integer({ min: SECOND, max: 15 * MINUTE }),
      }),
    ),
  )
  .map(([at, event]) => ({ at, ...event }));

const flush: fc.Arbitrary<Schedule["flush"]> = rarely<
  Schedule["flush"],
  Schedule["flush"]
>(
  3,
  "sentence",
  fc.oneof(
    fc.constant("line" as const),
    fc.record({
      maxChars: fc.integer({ min: 50, max: 100_000 }),
      maxDelayMs: fc.integer({ min: 50, max: 2000 }),
    }),
  ),
);

/** What differs between kinds of schedules. */
export interface Kind {
  scales: number[];
  /** Connections are cut somewhere in so many bytes. */
  bytes: number;
  /** How much happens from outside: aborts, deletions, the cron, clocks. */
  leastEvents: number;
  mostEvents: number;
}

/** Short texts, with callers that race, calls that fail, actions that die, connections that break. */
export const ALONE: Kind = {
  scales: [1, 1, 1, 1, 5],
  bytes: 3000,
  leastEvents: 0,
  mostEvents: 0,
};
/** All that, and somebody ends or deletes the stream, the cron runs, clocks jump. */
export const MEDDLED: Kind = { ...ALONE, leastEvents: 1, mostEvents: 4 };
/** Many pages, more than one batch of a deletion, more than one document of a packed text. */
export const LONG: Kind = {
  ...MEDDLED,
  scales: [30, 60, 60, 100, 300],
  bytes: 400_000,
  leastEvents: 0,
};

export function schedules(kind: Kind): fc.Arbitrary<Schedule> {
  return fc.record({
    flush,
    writing: fc.record({
      pieces: fc.array(
        fc.record({
          half: rarely(10, "", fc.constantFrom("\uD83C", "\uDFAD")),
          length: fc.nat(200),
          pause: rarely(2, 0, fc.nat(600)),
        }),
        { minLength: 1, maxLength: 40, size: "max" },
      ),
      scale: fc.constantFrom(...kind.scales),
      pace: rarely(100, 1, fc.constant(600)).chain((pace) =>
        pace === 1 ? fc.constantFrom(0, 1, 1, 2, 4) : fc.constant(pace),
      ),
      style: fc.constantFrom<WriterStyle>(
        "generates",
        "awaits its appends",
        "does not await",
        "ignores its signal",
        "throws when stopped",
      ),
      throws: rarely(5, false, fc.constant(true)),
    }),
    callers: fc
      .array(
        fc.record({
          at: rarely(2, 0, fc.nat(8000)),
          how: fc.constantFrom("stream", "stream", "generate"),
          action: action(4, 25),
          connection: connection(kind.bytes),
          isLost: rarely(10, false, fc.constant(true)),
          by: fc.constantFrom("resume", "pages", "hook"),
          page,
        }),
        { minLength: 1, maxLength: 3 },
      )
      // The usual one: it asks at once.
      .map(([first, ...others]) => [
        { ...first, at: 0 } as CallerPlan,
        ...others,
      ]),
    takeovers: rarely(
      3,
      [],
      fc.array(
        fc.record({
          at: fc.nat(8000),
          throwsAt: rarely(2, null, fc.nat(40)),
          action: action(3, 25),
        }),
        { minLength: 1, maxLength: 4 },
      ),
    ),
    callback: rarely(
      2,
      null,
      fc.array(
        fc.constantFrom<CallbackAct>(
          "works",
          "throws",
          "exceeds a limit",
          "returns rubbish",
          "cannot be caught",
          "deletes the stream",
        ),
        { maxLength: 4 },
      ),
    ),
    outside: fc.array(outside, {
      minLength: kind.leastEvents,
      maxLength: kind.mostEvents,
    }),
    readers: fc.array(reader(kind.bytes), { maxLength: 2 }),
    lateness: rarely(
      2,
      [0],
      fc.array(fc.nat(1500), { minLength: 1, maxLength: 4 }),
    ),
  });
}
