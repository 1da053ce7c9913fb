import { flushPolicy } from "../../src/client/flush.js";
import { isFinal, statusOf03 } from "../../src/shared.js";
import { CONTEXT, type Change } from "./lab-backend.js";
import type { Action } from "./action.js";
import type { Caller, Run } from "./carry-out.js";
import { firstDifference, type Reader } from "./readers.js";

// What must hold after every run. docs/faults.md has the table. The numbers are rules of
// docs/PROTOCOL.md.

const CHUNK_LIMIT_CHARS = 64 * 1024;
/** The least time between two commits. */
const COMMIT_DISTANCE_MS = 400;
/** A writer that has nothing to save checks its stream this often. It acts on the second check in a row. */
const CHECK_MS = 2000;
/** For what takes no time in a run, and for timers that are set one after the other. */
const SLACK_MS = 300;
/** How long after a failure, with all its retries, things may be slower. */
const AFTERMATH_MS = 14_000;
/** Timers that one action may have. A deployment ends a function with 1,000 operations. */
const MOST_TIMERS = 16;
const UNCLAIMED_TIMEOUT_MS = 20 * 60 * 1000;
const CLAIMED_TIMEOUT_MS = 2 * 60 * 1000;
/** How long a stream that was ended from outside drains. */
const DRAIN_MS = 15_000;

/** What contradicts each invariant, in words; null if nothing does. */
export const check = (run: Run, which = /./) =>
  Object.fromEntries(
    Object.entries(invariants)
      .filter(([name]) => which.test(name))
      .map(([name, holds]) => [name, holds(run)]),
  );

const invariants: Record<string, (run: Run) => string | null> = {
  /** 3.3: Saved text is a prefix of what was appended. */
  savedIsAPrefix: (run) => {
    const saved = savedText(run);
    const { whole = "", readable = 0 } = run.written ?? {};
    if (saved.length > readable) {
      return `${saved.length} are saved of the ${readable} that were appended`;
    }
    return difference(saved, whole.slice(0, saved.length));
  },

  /** 4.1: Everything appended is saved, if the writer's action survived and could save it. */
  nothingIsLost: (run) => {
    const { winner, deployment, happenings } = run;
    if (winner === undefined || wasDeleted(run)) return null;
    const { action, manuscript, sent } = winner;
    if (action.fate !== "ended" || cameTooLate(run)) return null;
    const last = deployment.changes.some(
      ({ by, what, final }) => by === action && what === "append" && final,
    );
    if (!last) {
      return happenings.has("nothing can be saved any more")
        ? null
        : "the writer's action ended without a final save";
    }
    const saved = savedText(run);
    if (sent !== null && !sent.cancelled) return difference(saved, sent.text);
    const isItsOwnEnd = isLastSaveOf(action, endingOf(run));
    const least = isItsOwnEnd ? manuscript.readable : manuscript.accepted;
    return saved.length < least
      ? `${saved.length} are saved of ${least}`
      : null;
  },

  /** 3.6: While commits succeed, text is saved as soon as the flush policy says. */
  savedInTime: (run) => {
    const { winner, schedule, deployment } = run;
    if (winner === undefined || schedule.writing.scale > 5) return null;
    const { action, manuscript } = winner;
    const { boundary, maxDelayMs } = flushPolicy(schedule.flush);
    const isByLine = boundary === "line";
    const age = isByLine ? 0 : maxDelayMs;
    const patience =
      setBacks(run) * (age + COMMIT_DISTANCE_MS) + delay(winner) + SLACK_MS;
    const end = Math.min(endedAt(run), diedAt(winner));
    let i = 0;
    const { changes } = deployment;
    for (const arrival of manuscript.arrivals) {
      const limit = arrival.at + patience;
      if (limit >= end) return null;
      if (!isCalm(run, winner, arrival.at, limit)) continue;
      const due = isByLine
        ? manuscript.whole.lastIndexOf("\n", arrival.end - 1) + 1
        : arrival.end - 1;
      while (i < changes.length && (changes[i]?.tail?.offset ?? 0) < due) i++;
      const at = changes[i]?.at ?? Infinity;
      if (at > limit && action.slowest < 1e6) {
        return `${due}, appended at ${arrival.at} ms, were saved ${at - arrival.at} ms later instead of ${patience}`;
      }
    }
    return null;
  },

  /** 2.1: One writer runs, no matter how many requests arrive. Others only take over from it. */
  oneWriter: ({ callers, deployment: { holders } }) => {
    const ran = callers.filter(({ manuscript }) => manuscript.started);
    const isUninvited = ({ how, action }: Caller) =>
      action !== holders[0]?.action && how !== "take over";
    return ran.some(isUninvited) ? `${ran.length} ran` : null;
  },

  /** 2.5: A writer that takes over starts where the saved text ends. Its predecessor saves nothing more. */
  takesOverExactly: (run) => {
    const { callers, deployment } = run;
    const { holders, changes } = deployment;
    return (
      firstPair(changes, (before, { by, holder, tail }) => {
        const grew = (tail?.offset ?? 0) > (before.tail?.offset ?? 0);
        return grew && by !== holder ? "its predecessor saved text" : null;
      }) ??
      first(callers, ({ action, manuscript: { start, arrivals } }) => {
        const begunAt = arrivals[0]?.at ?? Infinity;
        const next = holders.findIndex((one) => one.action === action) + 1;
        // One that loses the claim before it begins may read more.
        if ((holders[next]?.at ?? Infinity) <= begunAt) return null;
        if (begunAt === Infinity || wasDeleted(run)) return null;
        const claim = changes.find(
          ({ by, what }) => by === action && what === "claim",
        );
        const claimed = Object(claim?.result) as { start?: number };
        const end = claimed.start ?? start;
        return start === end ? null : `it starts at ${start}, not ${end}`;
      })
    );
  },

  /** 4.7: `onComplete` counts each ended stream once, and no other. */
  onCompleteRunsOnce: ({ stored: { ends, callbacks, stream }, schedule }) => {
    if (schedule.callback === null) return null;
    const ended = stream === null || isFinal(stream.status) ? 1 : 0;
    if (ends.length !== ended) return `${ends.length} instead of ${ended}`;
    return callbacks.length === 1 - ended
      ? null
      : `${callbacks.length} callbacks are kept`;
  },

  /** 4.7: `onComplete` is told how the stream ended, and reads the text that is saved then. */
  onCompleteIsToldTheTruth: (run) => {
    const { deployment, stored, winner, written } = run;
    const counted = deployment.told[stored.ends[0]?.call ?? -1];
    if (counted === undefined) return null;
    const { at, args, text, status } = counted;
    if (args.context !== CONTEXT) return "its context is another one";
    if (args.streamId !== deployment.streamId) return "its id is another one";
    const isLater = at > endedAt(run);
    if (args.status === "deleted") {
      return wasDeleted(run) ? null : "it was told of a deletion";
    }
    // It may have been deleted since it ended.
    if (text === "" && isLater && wasDeleted(run)) return null;
    if (status !== statusOf03(args.status)) {
      return `it was told ${args.status}, and read ${status}`;
    }
    const isShort = text.length < args.length;
    if (isShort || (text.length > args.length && !isLater)) {
      return `it was told ${args.length} and read ${text.length}`;
    }
    if (!(written?.whole ?? "").startsWith(text)) {
      return "it read another text";
    }
    if (wasDeleted(run)) return null;
    if (stored.stream?.status !== args.status) {
      return `it was told ${args.status}, and it is ${stored.stream?.status}`;
    }
    const saved = savedText(run);
    const isFinalText = isLastSaveOf(winner?.action, endingOf(run));
    return isFinalText && text !== saved
      ? `it read ${text.length} of ${saved.length}`
      : null;
  },

  /** 2.3: A caller that did not get the stream is told so: 205, 404 if it is deleted; `generate` resolves to false. */
  answersFitTheClaim: (run) =>
    first(run.callers, ({ how, action, manuscript, sent, generated }) => {
      if (sent?.cancelled === true) return null;
      if (action.fate === "died" || manuscript.started) return null;
      if (how !== "stream") {
        const mayReject = wasDeleted(run) || action.failures.length > 0;
        if (generated === "declined") return null;
        return generated === "rejected" && mayReject
          ? null
          : `generate ${generated ?? "goes on"} although its writer never ran`;
      }
      const answer = sent?.status;
      if (answer === 205 || answer === 500) return null;
      return answer === 404 && wasDeleted(run)
        ? null
        : `the answer was ${answer}`;
    }),

  /** 4.1: `generate()` resolves only if everything is saved or something else ended the stream. */
  generateTellsTheTruth: ({ winner, deployment }) => {
    if (winner === undefined || winner.generated === null) return null;
    const { action, manuscript, generated } = winner;
    if (generated === "resolved") {
      const isSaved = deployment.changes.some(
        ({ by, final, tail }) => by === action && final && tail !== null,
      );
      return isSaved || deployment.tail === null
        ? null
        : "it resolved without a final save";
    }
    return manuscript.ended === "threw" ||
      manuscript.stoppedAt !== null ||
      action.failures.length > 0
      ? null
      : "it rejected for no reason";
  },

  /** 6.6: A reader's text is always a prefix of what was appended. */
  readersHaveAPrefix: ({ readers }) => complaint(readers, "prefix"),

  /** 6.6: A reader's text never shrinks or changes. */
  readersNeverLoseText: ({ readers }) => complaint(readers, "growth"),

  /** 1.6: A reader is refused only if the stream was deleted. */
  readersAreNotRefused: (run) =>
    complaint(run.readers, "failure") ??
    first(run.readers, ({ name, refused }) =>
      refused && !wasDeleted(run) ? name : null,
    ),

  /** 6.9: A reader that reached the end has everything that is saved. */
  readersHaveAll: (run) => {
    if (wasDeleted(run)) return null;
    const saved = savedText(run);
    return first(run.readers, ({ name, ended, text }) => {
      // The driving client has more if the text cannot be saved or the action dies.
      const differs = difference(text.slice(0, saved.length), saved);
      return ended && differs !== null ? `${name}: ${differs}` : null;
    });
  },

  /** 6.8: A reader that reached the end reports how the stream ended. */
  readersEndAsTheStream: (run) => {
    const { stream } = run.stored;
    if (wasDeleted(run) || stream === null) return null;
    return first(run.readers, ({ name, ended, status, reads03 }) => {
      const isRight =
        status === stream.status ||
        (reads03 && status === statusOf03(stream.status));
      return ended && !isRight
        ? `${name} says ${status}, the stream ${stream.status}`
        : null;
    });
  },

  /** 7.7: A hook gets one answer each time it starts driving. */
  fewRequests: ({ hooks }) =>
    first(hooks, ({ hook: { reader, drives }, requests: { answered } }) =>
      answered > drives
        ? `${reader.name} got ${answered} answers for ${drives}`
        : null,
    ),

  /** 6.9: When all components have unmounted, no timer or subscription is left. */
  nothingStaysOfAPage: ({ browser: { timers, subscriptions } }) =>
    timers.armed > 0 || subscriptions > 0
      ? `${timers.armed} timers and ${subscriptions} subscriptions are left`
      : null,

  /** 4.2: When a writer's action closes its body, everything in it is saved, with the final status. */
  bodyIsWhatIsSaved: (run) => {
    const { winner, deployment, happenings } = run;
    if (winner?.sent?.closed !== true || wasDeleted(run)) return null;
    if (cameTooLate(run)) return null;
    if (happenings.has("nothing can be saved any more")) return null;
    const { action, sent } = winner;
    const last = deployment.changes.find(
      ({ by, final }) => by === action && final,
    );
    if (last?.tail == null || !isFinal(last.tail.status)) {
      return "it was closed before that";
    }
    return last.tail.offset === sent.text.length
      ? null
      : `${last.tail.offset} were saved of ${sent.text.length}`;
  },

  /** 1.2: A status only moves forward, and a final one never changes. */
  statusesGoForward: ({ readers, deployment }) =>
    complaint(readers, "status") ??
    firstPair(deployment.changes, (before, after) => {
      if (!before.tail || !after.tail) return null;
      const [was, is] = [before.tail.status, after.tail.status];
      const isBack =
        (isFinal(was) && was !== is) ||
        (was === "streaming" && is === "pending");
      return isBack ? `${was}, then ${is}` : null;
    }),

  /** 4.5: After the end, the text changes only by the writer's last words, while the stream drains. */
  onlyLastWordsAfterTheEnd: ({ deployment, winner }) =>
    firstPair(deployment.changes, (before, after) => {
      if (!before.tail || !after.tail || !isFinal(before.tail.status)) {
        return null;
      }
      if (before.tail.draining === false && after.tail.draining) {
        return "it was draining again";
      }
      if (before.tail.offset === after.tail.offset) return null;
      return before.tail.draining && after.by === winner?.action
        ? null
        : `from ${before.tail.offset} to ${after.tail.offset} by ${after.what}`;
    }),

  /** 4.1: If nothing else ends the stream, it is `done` if its writer returned and `error` if it threw. */
  theStatusIsTheWriters: (run) => {
    const { winner, stored, schedule, happenings } = run;
    if (winner === undefined || wasDeleted(run)) return null;
    const { action, manuscript } = winner;
    if (action.fate !== "ended" || manuscript.stoppedAt !== null) return null;
    if (happenings.has("nothing can be saved any more")) return null;
    if (schedule.outside.some(({ what }) => what !== "delete")) return null;
    const expected = manuscript.ended === "threw" ? "error" : "done";
    const status = stored.stream?.status;
    return status === expected ? null : `it is ${status}`;
  },

  /** 4.8: Every stream ends: by its writer or by a time-out. */
  everyStreamEnds: (run) => {
    const { stream } = run.stored;
    if (stream === null) return wasDeleted(run) ? null : "the stream is gone";
    return isFinal(stream.status) ? null : `it is ${stream.status}`;
  },

  /** 4.8: A stream with a sign of life in the last 2 minutes (20 before the claim) does not time out. */
  theLivingAreNotTimedOut: ({ deployment }) => {
    let sign = deployment.createdAt;
    let length = 0;
    let last: Change["by"] = null;
    let isReleased = false;
    for (const change of deployment.changes) {
      const { by, what, holder, empty, final, tail, wall } = change;
      if (tail === null || isFinal(tail.status)) {
        // A writer that failed may have left it open for another that never came.
        const isDead =
          tail?.status === "timeout" ||
          (tail?.status === "error" && by === null);
        if (!isDead || what === "setStreamStatus") return null;
        const age = wall - sign;
        const timeout = last ? CLAIMED_TIMEOUT_MS : UNCLAIMED_TIMEOUT_MS;
        return age < timeout ? `its last sign was ${age} ms old` : null;
      }
      const grew = tail.offset > length;
      length = tail.offset;
      if (holder !== last) {
        sign = wall;
        isReleased = false;
      }
      last = holder;
      // A last save has released the claim. Arriving again, it is no sign of life.
      if (isReleased) continue;
      if (what === "append" && by === holder && (grew || empty || final)) {
        sign = wall;
        isReleased = final;
      }
    }
    return null;
  },

  /** 4.4: While calls succeed, a writer's signal fires within about a second of a stop from outside. */
  theWriterIsToldInTime: (run) =>
    first(run.callers, (caller) => {
      const { manuscript, action } = caller;
      const { holders } = run.deployment;
      const index = holders.findIndex((one) => one.action === action);
      if (index < 0 || !manuscript.started) return null;
      // Another writer takes over, or the stream ends.
      const ending = endingOf(run);
      const stop = holders[index + 1] ?? ending;
      if (stop === undefined || isLastSaveOf(action, ending)) return null;
      const limit =
        stop.at + setBacks(run) * CHECK_MS + delay(caller) + SLACK_MS;
      if (!isCalm(run, caller, stop.at, limit)) return null;
      const told = manuscript.stoppedAt ?? Infinity;
      const ended = Math.min(action.overAt, manuscript.endedAt);
      if (ended <= limit || told <= limit) return null;
      return `it fired ${told - stop.at} ms after it (${action.fate}, ${ended})`;
    }),

  /** 6.9: Every writer's action and every reader finishes. */
  nothingGoesOnForEver: ({ stuck }) =>
    stuck.length > 0 ? stuck.join(", ") : null,

  /** 4.2: When an action has ended, no timer of it is running and no call is in flight. */
  nothingIsLeftBehind: ({ deployment }) =>
    first(deployment.actions, ({ left }) =>
      left !== null && (left.calls > 0 || left.timers > 0)
        ? `${left.calls} calls and ${left.timers} timers are left`
        : null,
    ),

  /** 3.5: An action has at most two calls in flight and 16 timers, cleared ones included. */
  fewOperations: ({ deployment }) =>
    first(deployment.actions, ({ mostCallsInFlight, timers }) =>
      mostCallsInFlight > 2 || timers.mostRunning > MOST_TIMERS
        ? `${mostCallsInFlight} calls, ${timers.mostRunning} timers`
        : null,
    ),

  /** 4.2: Every rejection is handled, because on a deployment it would end the action. */
  noRejectionIsUnhandled: ({ rejections }) =>
    rejections.length > 0 ? rejections.map(String).join("; ") : null,

  /** 4.10: No chunk outlives its stream. */
  deletedIsDeleted: ({ stored: { stream, chunks } }) =>
    stream === null && chunks.length > 0
      ? `${chunks.length} chunks are left`
      : null,

  /** 4.10: Every scheduled function has run and succeeded. */
  scheduledFunctionsSucceed: ({ stored: { unfinished } }) =>
    first(unfinished, ({ name, state }) => `${name}: ${state.kind}`),

  /** 5.1: Chunks follow each other without gaps, contain valid Unicode and stay within their limit. */
  chunksAreContiguous: ({ stored: { chunks } }) => {
    let end = 0;
    return first(chunks, ({ start, text }) => {
      if (start !== end) return `one starts at ${start}, not ${end}`;
      end += text.length;
      if (text === "") return `one at ${start} is empty`;
      if (text.length > CHUNK_LIMIT_CHARS) return `one is ${text.length} long`;
      return /\p{Surrogate}/u.test(text)
        ? `one at ${start} has half a character`
        : null;
    });
  },

  /** 5.2: The chunks of an ended stream are packed into as few documents as possible. */
  chunksArePacked: (run) => {
    const { chunks } = run.stored;
    const fewest = Math.ceil(savedText(run).length / CHUNK_LIMIT_CHARS);
    return chunks.length > fewest + 1
      ? `${chunks.length} instead of ${fewest}`
      : null;
  },
};

const wasDeleted = ({ deployment }: Run) => deployment.tail === null;

const savedText = ({ stored }: Run) =>
  stored.chunks.map(({ text }) => text).join("");

const difference = (text: string, expected: string) =>
  text === expected ? null : firstDifference(text, expected);

/** Whether a stream had drained, and accepted nothing more, when its writer's action was over. */
function cameTooLate({ deployment, winner }: Run): boolean {
  const ending = deployment.changes.find(
    ({ tail }) => tail !== null && isFinal(tail.status),
  );
  return (
    ending !== undefined &&
    !isLastSaveOf(winner?.action, ending) &&
    (winner?.action.overAt ?? 0) > ending.at + DRAIN_MS
  );
}

/** How long the slowest call of an action may delay something. */
const delay = ({ action }: Caller) => 2 * action.slowest;

/** A wait starts again when the clock is set back, so it may take twice as long. */
const setBacks = ({ happenings }: Run) =>
  happenings.has("clock set back") ? 2 : 1;

/** Whether an action had no failure and no stall in a period, nor shortly before. */
function isCalm(
  { stalls }: Run,
  { action }: Caller,
  from: number,
  to: number,
): boolean {
  return (
    !action.failures.some((at) => at >= from - AFTERMATH_MS && at <= to) &&
    !stalls.some((stall) => stall.to >= from && stall.from <= to)
  );
}

/** The change that ended the stream. */
function endingOf({ deployment }: Run): Change | undefined {
  return deployment.changes.find(
    ({ tail }) => tail === null || isFinal(tail.status),
  );
}

const endedAt = (run: Run) => endingOf(run)?.at ?? Infinity;

const diedAt = ({ action }: Caller) =>
  action.fate === "died" ? action.overAt : Infinity;

/**
 * Whether an action's last save ended the stream. What a scheduled function does is
 * recorded a moment later, so a time-out may show first after the save right behind it.
 * The writer of that save was stopped.
 */
function isLastSaveOf(
  action: Action | undefined,
  ending: Change | undefined,
): boolean {
  const status = ending?.tail?.status;
  return (
    ending?.by === action &&
    ending?.final === true &&
    (status === "done" || status === "error")
  );
}

/** The first complaint about one of these. */
function first<T>(
  all: readonly T[],
  complain: (one: T) => string | null,
): string | null {
  for (const one of all) {
    const said = complain(one);
    if (said !== null) return said;
  }
  return null;
}

const complaint = (
  readers: Reader[],
  about: Reader["complaints"][number]["of"],
) =>
  first(
    readers,
    ({ complaints }) => complaints.find(({ of }) => of === about)?.says ?? null,
  );

const firstPair = (
  changes: Change[],
  complain: (before: Change, after: Change) => string | null,
) =>
  first([...changes.keys()].slice(1), (i) =>
    complain(changes[i - 1]!, changes[i]!),
  );
