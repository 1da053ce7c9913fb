import { flushPolicy } from "../../src/client/flush.js";
import { isFinal, statusOf03 } from "../../src/shared.js";
import { CONTEXT, type Change } from "./lab-backend.js";
import type { Action, Caller } from "./action.js";
import type { Run } from "./carry-out.js";
import { PageReader } from "./page.js";
import { firstDifference, isBack, type Reader } from "./readers.js";

// What must hold after every run. docs/faults.md has the table. The numbers are rules of
// docs/PROTOCOL.md.

const CHUNK_LIMIT_CHARS = 64 * 1024;
/** The least time between two commits. */
const COMMIT_DISTANCE_MS = 400;
/** A writer that has nothing to save checks its stream this often. It acts on the second check in a row. */
const CHECK_MS = 2000;
/** For work that takes no time in a run, and for timers set one after another. */
const SLACK_MS = 300;
/** How long a failure and its retries may slow things down. */
const AFTERMATH_MS = 14_000;
/** The most timers of one action. A deployment ends a function with 1,000 operations. */
const MOST_TIMERS = 16;
const UNCLAIMED_TIMEOUT_MS = 20 * 60 * 1000;
const CLAIMED_TIMEOUT_MS = 2 * 60 * 1000;
/** How long a stream that was ended from outside drains. */
const DRAIN_MS = 15_000;

/** The invariants that do not hold, each with the reason. */
export const check = (run: Run, which = /./): string[] =>
  Object.entries(invariants).flatMap(([name, hold]) => {
    try {
      if (which.test(name)) hold(run);
      return [];
    } catch (error) {
      return [`${name}: ${(error as Error).message}`];
    }
  });

function must(holds: unknown, otherwise = ""): asserts holds {
  if (!holds) throw new Error(otherwise);
}

function mustBe(text: string, expected: string, what = "it differs"): void {
  if (text !== expected) {
    throw new Error(`${what} ${firstDifference(text, expected)}`);
  }
}

/** No reader has complained about this. */
const noComplaint = (readers: Reader[], of: keyof Reader["complaints"]) => {
  for (const { complaints } of readers) {
    must(complaints[of] === undefined, complaints[of]);
  }
};

const invariants: Record<string, (run: Run) => void> = {
  /** 3.3: Saved text is a prefix of what was appended. */
  savedIsAPrefix: ({ saved, written }) => {
    const { whole = "", readable = 0 } = written ?? {};
    const { length } = saved;
    must(length <= readable, `${length} are saved of ${readable} appended`);
    mustBe(saved, whole.slice(0, length));
  },

  /** 4.1: Everything appended is saved, if the writer's action survived and could save it. */
  nothingIsLost: (run) => {
    const { winner, saved } = run;
    if (winner?.fate !== "ended" || run.isDeleted || cameTooLate(run)) return;
    const { manuscript, sent, how } = winner;
    if (lastSaveOf(winner, run) === undefined) {
      return must(winner.isBroken, "the action ended without a final save");
    }
    if (how === "stream" && !sent.failed) return mustBe(saved, sent.text);
    const { readable, accepted } = manuscript;
    const least = hasEndedIt(winner, run) ? readable : accepted;
    must(saved.length >= least, `${saved.length} are saved of ${least}`);
  },

  /** 3.6: While commits succeed, text is saved as soon as the flush policy says. */
  savedInTime: (run) => {
    const { winner, schedule, deployment } = run;
    if (winner === undefined || schedule.writing.scale > 5) return;
    const { manuscript, slowest } = winner;
    const { boundary, maxDelayMs } = flushPolicy(schedule.flush);
    const isByLine = boundary === "line";
    const age = isByLine ? 0 : maxDelayMs;
    const patience =
      setBacks(run) * (age + COMMIT_DISTANCE_MS) + 2 * slowest + SLACK_MS;
    const diedAt = winner.fate === "died" ? winner.overAt : Infinity;
    const end = Math.min(endedAt(run), diedAt);
    let i = 0;
    const { changes } = deployment;
    for (const arrival of manuscript.arrivals) {
      const limit = arrival.at + patience;
      if (limit >= end) return;
      if (!isCalm(run, winner, arrival.at, limit)) continue;
      const due = isByLine
        ? manuscript.whole.lastIndexOf("\n", arrival.end - 1) + 1
        : arrival.end - 1;
      while (i < changes.length && (changes[i]?.tail?.offset ?? 0) < due) i++;
      const at = changes[i]?.at ?? Infinity;
      const times = `appended at ${arrival.at} ms, saved at ${at} ms`;
      must(at <= limit, `${due}: ${times}, not by ${limit} ms`);
    }
  },

  /** 2.1: One writer runs, no matter how many requests arrive. Others only take over from it. */
  oneWriter: ({ callers, deployment: { holders } }) => {
    for (const caller of callers) {
      const isInvited =
        caller === holders[0]?.action || caller.how === "take over";
      must(isInvited || !caller.manuscript.started, "another one ran");
    }
  },

  /** 2.5: When a writer has taken over, its predecessor saves nothing more. */
  takesOverExactly: ({ deployment: { changes } }) => {
    for (const [before, { by, holder, tail }] of pairs(changes)) {
      const grew = (tail?.offset ?? 0) > (before.tail?.offset ?? 0);
      must(!grew || by === holder, "its predecessor saved text");
    }
  },

  /** 4.7: `onComplete` counts each ended stream once, and no other. */
  onCompleteRunsOnce: ({ stored: { ends, callbacks, stream }, schedule }) => {
    if (schedule.callback === null) return;
    const ended = stream === null || isFinal(stream.status) ? 1 : 0;
    must(ends.length === ended, `${ends.length} instead of ${ended}`);
    const { length } = callbacks;
    must(length === 1 - ended, `${length} callbacks are kept`);
  },

  /** 4.7: `onComplete` is told how the stream ended, and reads the text that is saved then. */
  onCompleteIsToldTheTruth: (run) => {
    const { deployment, stored, winner, written, isDeleted, saved } = run;
    const counted = deployment.told[stored.ends[0]?.call ?? -1];
    if (counted === undefined) return;
    const { isLater, args, text, status } = counted;
    must(args.context === CONTEXT, "its context is another one");
    must(args.streamId === deployment.streamId, "its id is another one");
    if (args.status === "deleted") {
      return must(isDeleted, "it was told of a deletion");
    }
    // It may have been deleted since it ended.
    if (text === "" && isLater && isDeleted) return;
    const told = `it was told ${args.status} and ${args.length}, and`;
    must(status === statusOf03(args.status), `${told} read ${status}`);
    const isWhole =
      text.length === args.length || (isLater && text.length > args.length);
    must(isWhole, `${told} read ${text.length}`);
    must((written?.whole ?? "").startsWith(text), "it read another text");
    if (isDeleted) return;
    const is = stored.stream?.status;
    must(is === args.status, `${told} it is ${is}`);
    if (hasEndedIt(winner, run)) mustBe(text, saved, told);
  },

  /** 4.1: `generate()` resolves only if everything is saved or something else ended the stream. */
  generateTellsTheTruth: (run) => {
    const { winner, isDeleted } = run;
    if (!winner?.hasResolved || isDeleted) return;
    must(lastSaveOf(winner, run), "it resolved without a final save");
  },

  /** 6.6: A reader's text is always a prefix of what was appended. */
  readersHaveAPrefix: ({ readers }) => noComplaint(readers, "prefix"),

  /** 6.6: A reader's text never shrinks or changes. */
  readersNeverLoseText: ({ readers }) => noComplaint(readers, "growth"),

  /** 1.6: A reader is refused only if the stream was deleted. */
  readersAreNotRefused: ({ readers, isDeleted }) => {
    noComplaint(readers, "failure");
    for (const { name, refused } of readers) must(!refused || isDeleted, name);
  },

  /** 6.9: A reader that reached the end has everything that is saved. */
  readersHaveAll: ({ readers, saved, isDeleted }) => {
    for (const { name, ended, text } of readers) {
      // The driving client has more if the text cannot be saved or the action dies.
      const has = text.slice(0, saved.length);
      if (ended && !isDeleted) mustBe(has, saved, name);
    }
  },

  /** 6.8: A reader that reached the end reports how the stream ended. */
  readersEndAsTheStream: ({ readers, isDeleted, stored: { stream } }) => {
    if (isDeleted || stream === null) return;
    const shapeOf03 = statusOf03(stream.status);
    for (const { name, ended, status, reads03 } of readers) {
      const isRight =
        status === stream.status || (reads03 && status === shapeOf03);
      must(!ended || isRight, `${name}: ${status} for ${stream.status}`);
    }
  },

  /** 7.7: A hook gets one answer each time it starts driving. */
  fewRequests: ({ readers }) => {
    for (const reader of readers) {
      if (!(reader instanceof PageReader)) continue;
      const { name, answered, drives } = reader;
      must(answered <= drives, `${name}: ${answered} answers for ${drives}`);
    }
  },

  /** 6.9: When all components have unmounted, no timer or subscription is left. */
  nothingStaysOfAPage: ({ browser: { timers, subscriptions } }) => {
    const left = `${timers.armed} timers and ${subscriptions} subscriptions`;
    must(timers.armed + subscriptions === 0, left);
  },

  /** 4.2: When a writer's action closes its body, everything in it is saved, with the final status. */
  bodyIsWhatIsSaved: (run) => {
    const { winner } = run;
    if (!winner?.sent.closed || run.isDeleted) return;
    if (cameTooLate(run) || winner.isBroken) return;
    const tail = lastSaveOf(winner, run)?.tail;
    must(tail && isFinal(tail.status), "it was closed before that");
    const { length } = winner.sent.text;
    must(tail.offset === length, `${tail.offset} were saved of ${length}`);
  },

  /** 1.2: A status only moves forward, and a final one never changes. */
  statusesGoForward: ({ readers, deployment }) => {
    noComplaint(readers, "status");
    for (const [before, after] of pairs(deployment.changes)) {
      if (!before.tail || !after.tail) continue;
      const [was, is] = [before.tail.status, after.tail.status];
      const isChanged = isFinal(was) && was !== is;
      must(!isChanged && !isBack(was, is), `${was}, then ${is}`);
    }
  },

  /** 4.5: After the end, the text changes only by the writer's last words, while the stream drains. */
  onlyLastWordsAfterTheEnd: ({ deployment, winner }) => {
    for (const [{ tail: before }, after] of pairs(deployment.changes)) {
      const { tail, by, what, args } = after;
      if (!before || !tail || !isFinal(before.status)) continue;
      must(before.draining || !tail.draining, "it was draining again");
      const isByWriter = by !== null && by === winner;
      must(!args.final || !isByWriter || !tail.draining, "it kept its claim");
      const mayGrow = before.draining && isByWriter;
      const growth = `from ${before.offset} to ${tail.offset} by ${what}`;
      must(mayGrow || before.offset === tail.offset, growth);
    }
  },

  /** 4.1: If nothing else ends the stream, it is `done` if its writer returned, `error` if it threw, `timeout` if its action died. */
  theStatusIsTheWriters: (run) => {
    const { winner, stored, schedule } = run;
    if (winner === undefined || run.isDeleted) return;
    if (schedule.outside.some(({ what }) => what !== "delete")) return;
    const { ended, stoppedAt } = winner.manuscript;
    const status = stored.stream?.status;
    const last = lastSaveOf(winner, run);
    if (last && (winner.fate !== "ended" || stoppedAt !== null)) return;
    const how = ended === "threw" ? "error" : "done";
    must(status === (last ? how : "timeout"), `it is ${status}`);
  },

  /** 4.8: Every stream ends: by its writer or by a time-out. */
  everyStreamEnds: ({ stored: { stream }, isDeleted }) => {
    const isOver = stream === null ? isDeleted : isFinal(stream.status);
    must(isOver, `it is ${stream?.status}`);
  },

  /** 4.8: A stream with a sign of life in the last 2 minutes (20 before the claim) does not time out. */
  theLivingAreNotTimedOut: ({ deployment: { changes, createdAt } }) => {
    const end = changes.findIndex(({ tail }) => !tail || isFinal(tail.status));
    const ending = changes[end];
    if (!ending || !/^scheduled|^cleanup/.test(ending.what)) return;
    let sign = createdAt;
    let released: Action | null = null;
    for (const [i, change] of changes.slice(0, end).entries()) {
      const { by, what, holder, args, tail, wall } = change;
      const before = changes[i - 1];
      const grew = tail!.offset > (before?.tail?.offset ?? 0);
      const isClaim = holder !== (before?.holder ?? null);
      // The last save releases the claim. If it arrives again, that is no sign of life.
      const isSave = what === "append" && by === holder && by !== released;
      const isSign = isSave && (grew || args.text === "" || !!args.final);
      if (isSign && args.final) released = holder;
      if (isClaim || isSign) sign = wall;
    }
    const age = ending.wall - sign;
    const timeout = ending.holder ? CLAIMED_TIMEOUT_MS : UNCLAIMED_TIMEOUT_MS;
    must(age >= timeout, `its last sign was ${age} ms old`);
  },

  /** 4.4: While calls succeed, a writer's signal fires within about a second of a stop from outside. */
  theWriterIsToldInTime: (run) => {
    const { holders } = run.deployment;
    for (const caller of run.callers) {
      const { manuscript, slowest, fate } = caller;
      const index = holders.findIndex(({ action }) => action === caller);
      if (index < 0 || !manuscript.started) continue;
      // Another writer takes over, or the stream ends.
      const stop = holders[index + 1] ?? run.ending;
      if (stop === undefined || hasEndedIt(caller, run)) continue;
      const limit = stop.at + setBacks(run) * CHECK_MS + 2 * slowest + SLACK_MS;
      if (!isCalm(run, caller, stop.at, limit)) continue;
      const told = manuscript.stoppedAt ?? Infinity;
      const ended = Math.min(caller.overAt, manuscript.endedAt);
      const late = `${told - stop.at} ms after it (${fate}, ${ended})`;
      must(ended <= limit || told <= limit, late);
    }
  },

  /** 6.9: Every writer's action and every reader finishes. */
  nothingGoesOnForEver: ({ stuck }) =>
    must(stuck.length === 0, stuck.join(", ")),

  /** 4.2: When an action has ended, no timer of it is running and no call is in flight. */
  nothingIsLeftBehind: ({ deployment: { actions } }) => {
    for (const { left } of actions) {
      must(left.calls + left.timers === 0, JSON.stringify(left));
    }
  },

  /** 3.5: An action has at most two calls in flight and 16 timers, cleared ones included. */
  fewOperations: ({ deployment: { actions } }) => {
    for (const { mostCallsInFlight: calls, timers } of actions) {
      const isFew = calls <= 2 && timers.mostRunning <= MOST_TIMERS;
      must(isFew, `${calls} calls, ${timers.mostRunning} timers`);
    }
  },

  /** 4.2: Every rejection is handled, because on a deployment it would end the action. */
  noRejectionIsUnhandled: ({ rejections }) =>
    must(rejections.length === 0, rejections.map(String).join("; ")),

  /** 4.10: No chunk outlives its stream. */
  deletedIsDeleted: ({ stored: { stream, chunks } }) =>
    must(stream || chunks.length === 0, `${chunks.length} chunks are left`),

  /** 4.10: Every scheduled function has run and succeeded. */
  scheduledFunctionsSucceed: ({ stored: { unfinished } }) => {
    for (const { name, state } of unfinished)
      must(!name, JSON.stringify(state));
  },

  /** 5.1: Chunks follow each other without gaps, contain valid Unicode and stay within their limit. */
  chunksAreContiguous: ({ stored: { chunks } }) => {
    let end = 0;
    for (const { start, text } of chunks) {
      must(start === end, `one starts at ${start}, not ${end}`);
      end += text.length;
      const isFit = text !== "" && text.length <= CHUNK_LIMIT_CHARS;
      must(isFit, `one is ${text.length} long`);
      const isValid = !/\p{Surrogate}/u.test(text);
      must(isValid, `one at ${start} has half a character`);
    }
  },

  /** 5.2: The chunks of an ended stream are packed into as few documents as possible. */
  chunksArePacked: ({ saved, stored: { chunks } }) => {
    const fewest = Math.ceil(saved.length / CHUNK_LIMIT_CHARS);
    must(chunks.length <= fewest + 1, `${chunks.length} instead of ${fewest}`);
  },
};

const endedAt = ({ ending }: Run) => ending?.at ?? Infinity;

/** The save with which an action released its claim. */
const lastSaveOf = (caller: Caller, { deployment }: Run) =>
  deployment.changes.find(({ by, args }) => by === caller && args.final);

/** Whether the stream accepted nothing more when its writer's action was over, because it had drained. */
function cameTooLate(run: Run): boolean {
  const { winner, ending } = run;
  if (!ending?.tail || hasEndedIt(winner, run)) return false;
  return (winner?.overAt ?? 0) > ending.at + DRAIN_MS;
}

/** A wait starts over when the clock is set back, so it may take twice as long. */
const setBacks = ({ schedule: { outside } }: Run) =>
  outside.some((event) => event.what === "clock" && event.by < 0) ? 2 : 1;

/** Whether an action had no failure and no stall during a period or shortly before. */
const isCalm = (
  { stalls }: Run,
  { failures }: Caller,
  from: number,
  to: number,
) =>
  !failures.some((at) => at >= from - AFTERMATH_MS && at <= to) &&
  !stalls.some((stall) => stall.to >= from && stall.from <= to);

/**
 * Whether an action's last save ended the stream. What a scheduled function does is
 * recorded a moment later, so a time-out may show first after the save right behind it.
 * The writer of that save was stopped.
 */
function hasEndedIt(caller: Caller | undefined, { ending }: Run): boolean {
  const status = ending?.tail?.status ?? "";
  const isByWriter = status === "done" || status === "error";
  return isByWriter && ending?.by === caller && !!ending?.args.final;
}

const pairs = (changes: Change[]) =>
  changes.slice(1).map((after, i) => [changes[i]!, after] as const);
