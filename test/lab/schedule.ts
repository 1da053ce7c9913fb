import fc from "fast-check";

// Everything that can happen to one stream, as data. Times are in ms, from the start of
// the run unless stated otherwise. Lists of lags and pauses are used in turn, over and
// over. A failing schedule is shrunk towards the first of several choices.

export type Value<Arbitrary> =
  Arbitrary extends fc.Arbitrary<infer T> ? T : never;

/** Usually `usual`; something else in one of `parts` cases. */
export const rarely = <const T, U>(
  parts: number,
  usual: T,
  other: fc.Arbitrary<U>,
) =>
  fc.oneof(
    { weight: parts - 1, arbitrary: fc.constant(usual) },
    { weight: 1, arbitrary: other },
  );

/** One of these. */
export const one = fc.constantFrom;
export const int = (min: number, max: number) => fc.integer({ min, max });

const SECOND = 1000;
const MINUTE = 60 * SECOND;

/** A list of 1 to `maxLength` elements. */
export const some = <T>(element: fc.Arbitrary<T>, maxLength: number) =>
  fc.array(element, { minLength: 1, maxLength });

/** Mostly an empty list. */
const rarelySome = <T>(
  parts: number,
  element: fc.Arbitrary<T>,
  maxLength: number,
) => rarely(parts, [] as T[], some(element, maxLength));

/** What happens to one mutation or query of an action. */
const call = rarely(
  2,
  "prompt",
  fc.oneof(
    // Refused: it fails. Lost: it succeeds, but its caller gets an error.
    one("refused", "lost"),
    // Its caller gets an error at once, and this much later it succeeds after all.
    fc.record({ late: fc.nat(3000) }),
    // It arrives this much later, and its answer takes this long.
    fc.record({ before: fc.nat(800), after: fc.nat(800) }),
    fc.record({ before: fc.nat(20), after: fc.nat(20) }),
  ),
);

/** When an action dies: at a time after its start, or around one of its calls. */
const death = fc.oneof(
  fc.record({
    call: fc.nat(12),
    // Before the call arrives, between its commit and its answer, or after the answer.
    moment: one("before", "between", "after"),
  }),
  fc.record({ at: fc.nat(6000) }),
);

const action = (deaths: number, breakdowns = 25) =>
  fc.record({
    // Seven consecutive failures stop a writer, and 22 lose text, so one of these succeeds.
    calls: rarely(
      3,
      ["prompt"],
      fc
        .array(call, { maxLength: 10, size: "max" })
        .map((all) => [...all, "prompt" as const]),
    ),
    /** All calls from this one on are refused, so nothing more can be saved. */
    brokenFrom: rarely(breakdowns, null, fc.nat(8)),
    death: rarely(deaths, null, death),
    /** Whether calls in flight still arrive after it has ended. */
    orphansArrive: fc.boolean(),
  });
export type ActionPlan = Value<ReturnType<typeof action>>;

/** What happens to the connection of a request. */
export const connection = (bytes: number) =>
  fc.record({
    /** How long after its request the client leaves, if the head has not arrived. */
    leavesAt: rarely(8, null, fc.nat(1000)),
    /** How late the head arrives (ms), or whether it gets lost. */
    answer: rarely(5, 0, fc.oneof(fc.constant("lost" as const), fc.nat(2000))),
    /** After this many bytes nothing more arrives. Null: everything arrives. */
    cutAfter: rarely(2, null, fc.nat(bytes)),
    /** How the client notices: an error, an end, or not at all. */
    as: one("error", "end", "error", "end", "silence"),
    /** Whether the platform notices that the client has left, and fires the request's signal. */
    isNoticed: rarely(4, true, fc.constant(false)),
  });
export type ConnectionPlan = Value<ReturnType<typeof connection>>;

const span = fc.record({ at: fc.nat(6000), for: fc.nat(3000) });
export type Span = Value<typeof span>;

const change = fc.oneof(
  fc.record({
    at: fc.nat(6000),
    what: one("token", "drive", "follow", "other query", "online"),
  }),
  fc.record({
    at: fc.nat(6000),
    what: one("unmounted", "no stream", "hidden"),
    for: fc.oneof(fc.constant(0), fc.nat(2000), fc.nat(8000)),
  }),
);
export type PageChange = Value<typeof change>;

/** A component that shows the stream with `useStream`, and the page around it. */
export const page = fc.record({
  incremental: fc.boolean(),
  strict: fc.boolean(),
  /** How long updates of a subscription take. */
  lags: rarely(2, [20], some(fc.nat(1500), 4)),
  /** When the WebSocket is down. */
  down: rarelySome(3, span, 2),
  /** When the app's query throws. */
  failing: rarelySome(5, span, 1),
  changes: rarelySome(2, change, 3),
});
export type PagePlan = Value<typeof page>;

const reader = (bytes: number) =>
  fc.record({
    at: rarely(2, 0, fc.nat(8000)),
    /** By React, by the reader behind it, or by `readStream`. */
    by: one("hook", "reader", "resume"),
    page,
    answers: fc.array(
      fc.record({ action: action(4, 8), connection: connection(bytes) }),
      { maxLength: 4 },
    ),
  });
export type ReaderPlan = Value<ReturnType<typeof reader>>;

const moment = fc.oneof(
  { weight: 39, arbitrary: fc.nat(5000) },
  { weight: 1, arbitrary: fc.nat(30 * MINUTE) },
);
const outside = fc.oneof(
  fc.record({ at: moment, what: one("abort", "delete", "cron", "cron") }),
  fc.record({
    at: moment,
    what: one("set"),
    status: one("done", "error", "timeout", "aborted", "streaming"),
  }),
  // Date.now() jumps.
  fc.record({
    at: moment,
    what: one("clock"),
    by: fc.oneof(int(-10 * SECOND, -100), int(SECOND, 60 * MINUTE)),
  }),
  // Date.now() jumps as on a laptop that slept, and the cron runs this much later.
  fc.record({
    at: moment,
    what: one("sleep"),
    for: int(15 * MINUTE, 60 * MINUTE),
    cronAfter: fc.nat(3000),
  }),
  // Nothing runs for this long. Then everything that was due runs late.
  fc.record({
    at: moment,
    what: one("stall"),
    for: int(SECOND, 15 * MINUTE),
  }),
);
export type OutsideEvent = Value<typeof outside>;

const flush = rarely(
  3,
  "sentence",
  fc.oneof(
    fc.constant("line" as const),
    fc.record({
      maxChars: int(50, 100_000),
      maxDelayMs: int(50, 2000),
    }),
  ),
);

/** Short texts, competing callers, calls that fail, actions that die, connections that break. */
export const ALONE = {
  scales: [1, 1, 1, 1, 5],
  /** Connections are cut somewhere in this many bytes. */
  bytes: 3000,
  /** The fewest and the most events from outside: stops, deletions, the cron, clocks. */
  events: [0, 0],
};
/** The same, and the stream is ended or deleted, the cron runs, clocks jump. */
export const MEDDLED = { ...ALONE, events: [1, 4] };
/** Many pages, several batches of a deletion, several documents of a packed text. */
export const LONG = {
  scales: [30, 60, 60, 100, 300],
  bytes: 400_000,
  events: [0, 4],
};

/** How one writer writes. */
const writing = (scales: number[]) =>
  fc.record({
    /** Each is half a character or nothing, then this much of a story, then a pause. */
    pieces: fc.array(
      fc.record({
        half: rarely(10, "", one("\uD83C", "\uDFAD")),
        length: fc.nat(200),
        pause: rarely(2, 0, fc.nat(600)),
      }),
      { minLength: 1, maxLength: 40, size: "max" },
    ),
    /** All lengths are multiplied by this, all pauses by `pace`. */
    scale: one(...scales),
    pace: fc.oneof(
      { weight: 99, arbitrary: one(0, 1, 1, 2, 4) },
      { weight: 1, arbitrary: fc.constant(600) },
    ),
    style: one(
      "generates",
      "awaits its appends",
      "does not await",
      "ignores its signal",
      "throws when stopped",
    ),
    throws: rarely(5, false, fc.constant(true)),
  });
export type Writing = Value<ReturnType<typeof writing>>;

/** A client or function that asks for the stream to be written. */
const caller = (bytes: number) =>
  fc.record({
    at: rarely(2, 0, fc.nat(8000)),
    how: one("stream", "stream", "generate"),
    action: action(4),
    connection: connection(bytes),
    /** Whether its first request gets lost. */
    isLost: rarely(10, false, fc.constant(true)),
    /** How the client requests and reads: with `fetch` and then `readStream`, or as a page does. */
    by: one("resume", "reader", "hook"),
    page,
  });
export type CallerPlan = Value<ReturnType<typeof caller>>;

export const schedules = ({ scales, bytes, events }: typeof ALONE) =>
  fc.record({
    flush,
    writing: writing(scales),
    /** One of them gets the claim. The first asks at once. */
    callers: some(caller(bytes), 3).map((all) =>
      all.map((one, i) => (i === 0 ? { ...one, at: 0 } : one)),
    ),
    /** Jobs that take the stream over, one attempt each. */
    takeovers: rarelySome(
      3,
      fc.record({
        at: fc.nat(8000),
        /** The piece before which its writer throws, if it does. */
        throwsAt: rarely(2, null, fc.nat(40)),
        action: action(3),
      }),
      4,
    ),
    /** What the app's `onComplete` does, call by call; after these, it works. Null: there is none. */
    callback: rarely(
      2,
      null,
      fc.array(
        one(
          "works",
          "throws",
          "exceeds a limit",
          "returns rubbish",
          // The whole transaction fails.
          "cannot be caught",
          "deletes the stream",
        ),
        { maxLength: 4 },
      ),
    ),
    outside: fc.array(outside, { minLength: events[0], maxLength: events[1] }),
    readers: fc.array(reader(bytes), { maxLength: 2 }),
    /** How late scheduled functions start. */
    lateness: rarely(2, [0], some(fc.nat(1500), 4)),
  });
export type Schedule = Value<ReturnType<typeof schedules>>;
