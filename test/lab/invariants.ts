import { flushPolicy } from "../../src/client/flush.js";
import { isFinal, statusOf03 } from "../../src/shared.js";
import { CONTEXT, type Change } from "./lab-backend.js";
import type { Action } from "./action.js";
import type { Caller, Outcome } from "./carry-out.js";

/** What it means for an app that an invariant does not hold. */
export type Harm = "lost" | "doubled" | "stuck" | "other";

/** What holds after every run, whatever happened in it. */
export interface Invariant {
  /** The rule of docs/PROTOCOL.md that it holds. */
  rule: string;
  /** The sentence that a failure says first. */
  says: string;
  harm: Harm;
  /** What speaks against it, null if nothing does. */
  check: (outcome: Outcome) => string | null;
}

/** No chunk is longer. */
const CHUNK_LIMIT = 64 * 1024;
/** Commits begin at least so far apart (ms). */
const COMMIT_DISTANCE = 400;
/** A writer that has nothing to save looks at its stream so often (ms), and notes what happens between two looks at the second of them. */
const LOOKS = 2000;
/** For what takes no time in a run, and for timers that are set one after the other (ms). */
const SLACK = 300;
/** After a failure it takes so long (ms), with all its repetitions, until things go their usual way again. */
const AFTERMATH = 14_000;
/** A writer's action may have so many timers that run: a deployment ends a function that has 1,000 operations. */
const MOST_TIMERS = 16;
const UNCLAIMED_TIMEOUT_MS = 20 * 60 * 1000;
const CLAIMED_TIMEOUT_MS = 2 * 60 * 1000;

const first = <T>(all: readonly T[], say: (one: T) => string | null) => {
  for (const one of all) {
    const said = say(one);
    if (said !== null) return said;
  }
  return null;
};

const wasDeleted = ({ deployment }: Outcome) => deployment.tail === null;

const savedText = ({ stored }: Outcome) =>
  stored.chunks.map(({ text }) => text).join("");

function difference(text: string, expected: string): string | null {
  if (text === expected) return null;
  let at = 0;
  while (text[at] === expected[at]) at++;
  const [is, should] = [text, expected].map((all) =>
    JSON.stringify(all.slice(at, at + 30)),
  );
  return `at ${at} (${text.length} long for ${expected.length}): ${is} for ${should}`;
}

/** How long (ms) a stream that was ended from outside drains. Only an action that stood still, or could not save, is later than that. */
const DRAIN_MS = 15_000;

/** Whether a stream had been ended for so long, when its writer's action was over, that it took no more. */
function cameTooLate({ deployment, winner }: Outcome): boolean {
  const ending = deployment.changes.find(
    ({ tail }) => tail !== null && isFinal(tail.status),
  );
  return (
    ending !== undefined &&
    !isLastSaveOf(winner?.action, ending) &&
    (winner?.action.overAt ?? 0) > ending.at + DRAIN_MS
  );
}

/** How long the slowest call of an action may put something off. */
const delay = ({ action }: Caller) => 2 * action.slowest;

/** Whether nothing went wrong for an action in a time, nor shortly before: no failure, no stall. */
function isCalm(
  { stalls }: Outcome,
  { action }: Caller,
  from: number,
  to: number,
): boolean {
  return (
    !action.failures.some((at) => at >= from - AFTERMATH && at <= to) &&
    !stalls.some((stall) => stall.to >= from && stall.from <= to)
  );
}

/** When its action ended, as far as commits tell; for a running writer, when it was told to stop or returned. */
function endedAt(outcome: Outcome): number {
  return endingOf(outcome)?.at ?? Infinity;
}

/** The change with which the stream ended, if it has. */
function endingOf({ deployment }: Outcome): Change | undefined {
  return deployment.changes.find(
    ({ tail }) => tail === null || isFinal(tail.status),
  );
}

/**
 * Whether it was with the last save of an action that the stream ended. What a scheduled
 * function did is looked at a moment later, so a time-out may be seen first after a save
 * that came right behind it. The writer of that save was stopped, like any other.
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

export const invariants: Record<string, Invariant> = {
  savedIsAPrefix: {
    rule: "3.3",
    says: "What is saved is a prefix of what was appended.",
    harm: "doubled",
    check: (outcome) => {
      const saved = savedText(outcome);
      const { whole = "", readable = 0 } = outcome.written ?? {};
      if (saved.length > readable) {
        return `${saved.length} are saved of the ${readable} that were appended`;
      }
      return difference(saved, whole.slice(0, saved.length));
    },
  },

  nothingIsLost: {
    rule: "4.1",
    says: "All that was appended is saved, if its writer's action lived and could save it.",
    harm: "lost",
    check: (outcome) => {
      const { winner, deployment } = outcome;
      if (winner === undefined || wasDeleted(outcome)) return null;
      const { action, manuscript, sent } = winner;
      if (action.fate !== "ended" || cameTooLate(outcome)) return null;
      const last = deployment.changes.some(
        ({ by, what, final }) => by === action && what === "append" && final,
      );
      if (!last) {
        return outcome.happenings.has("nothing can be saved any more")
          ? null
          : "its writer's action has ended, and never saved the end";
      }
      const saved = savedText(outcome);
      if (sent !== null && !sent.cancelled) {
        return difference(saved, sent.text);
      }
      const isItsOwnEnd = isLastSaveOf(action, endingOf(outcome));
      const least = isItsOwnEnd ? manuscript.readable : manuscript.accepted;
      return saved.length < least
        ? `${saved.length} are saved of ${least}`
        : null;
    },
  },

  savedInTime: {
    rule: "3.6",
    says: "Text is saved within the time that the flush policy says, while commits go well.",
    harm: "lost",
    check: (outcome) => {
      const { winner, schedule, deployment } = outcome;
      if (winner === undefined || schedule.writing.scale > 5) return null;
      const { action, manuscript } = winner;
      const { boundary, maxDelayMs } = flushPolicy(schedule.flush);
      const age = boundary === "line" ? 0 : maxDelayMs;
      // Where the clock was set back while something was waited for, that begins again.
      const wasSetBack = outcome.happenings.has("clock set back");
      const patience =
        (wasSetBack ? 2 : 1) * (age + COMMIT_DISTANCE) + delay(winner) + SLACK;
      const end = Math.min(endedAt(outcome), diedAt(winner));
      let i = 0;
      const { changes } = deployment;
      for (const arrival of manuscript.arrivals) {
        const limit = arrival.at + patience;
        if (limit >= end) return null;
        if (!isCalm(outcome, winner, arrival.at, limit)) continue;
        const due =
          boundary === "line"
            ? manuscript.whole.lastIndexOf("\n", arrival.end - 1) + 1
            : arrival.end - 1;
        while (i < changes.length && (changes[i]?.tail?.offset ?? 0) < due) i++;
        const at = changes[i]?.at ?? Infinity;
        if (at > limit && action.slowest < 1e6) {
          return `${due} had been appended ${arrival.at} ms after the beginning; that was saved ${at - arrival.at} ms later, for ${patience}`;
        }
      }
      return null;
    },
  },

  oneWriter: {
    rule: "2.1",
    says: "One writer runs, whoever asks and how often; others only take over from it.",
    harm: "doubled",
    check: ({ callers, deployment: { holders } }) => {
      const ran = callers.filter(({ manuscript }) => manuscript.started);
      const uninvited = ran.filter(
        (one) => one.action !== holders[0]?.action && !takesOver(one),
      );
      return uninvited.length > 0 ? `${ran.length} ran` : null;
    },
  },

  takesOverExactly: {
    rule: "2.5",
    says: "A writer that takes over starts at the end of the saved text, and the one before it saves no more.",
    harm: "doubled",
    check: (outcome) => {
      const { callers, deployment } = outcome;
      return (
        pairs(deployment.changes, (before, { by, holder, tail }) => {
          const grew = (tail?.offset ?? 0) > (before.tail?.offset ?? 0);
          return grew && by !== holder ? "its predecessor saved text" : null;
        }) ??
        first(callers, ({ action, manuscript: { start, arrivals } }) => {
          const { holders, changes } = deployment;
          const begunAt = arrivals[0]?.at ?? Infinity;
          const next = holders.findIndex((one) => one.action === action) + 1;
          // Who has lost the claim before it has begun may read more.
          if ((holders[next]?.at ?? Infinity) <= begunAt) return null;
          const claim = changes.find(
            ({ by, what }) => by === action && what === "claim",
          );
          const { start: end = start } = Object(claim?.result) as {
            start?: number;
          };
          if (begunAt === Infinity || wasDeleted(outcome)) return null;
          if (start === end) return null;
          return `it begins at ${start} for ${end}`;
        })
      );
    },
  },

  onCompleteRunsOnce: {
    rule: "4.7",
    says: "onComplete counts each stream that has ended once, and none that has not.",
    harm: "doubled",
    check: ({ stored: { ends, callbacks, stream }, schedule }) => {
      if (schedule.callback === null) return null;
      const ended = stream === null || isFinal(stream.status) ? 1 : 0;
      if (ends.length !== ended) return `${ends.length} for ${ended}`;
      return callbacks.length === 1 - ended
        ? null
        : `${callbacks.length} callbacks are kept`;
    },
  },

  onCompleteIsToldTheTruth: {
    rule: "4.7",
    says: "onComplete is told how the stream ended, and reads the text that is saved then.",
    harm: "lost",
    check: (outcome) => {
      const { deployment, stored, winner } = outcome;
      const counted = deployment.told[stored.ends[0]?.call ?? -1];
      if (counted === undefined) return null;
      const { at, args, text, status } = counted;
      if (args.context !== CONTEXT) return "its context is another one";
      if (args.streamId !== deployment.streamId) return "its id is another one";
      const isLater = at > endedAt(outcome);
      if (args.status === "deleted") {
        return wasDeleted(outcome) ? null : "it was told of a deletion";
      }
      // It may have been deleted since it has ended.
      if (text === "" && isLater && wasDeleted(outcome)) return null;
      if (status !== statusOf03(args.status)) {
        return `it was told ${args.status}, and read ${status}`;
      }
      if (
        text.length < args.length ||
        (text.length > args.length && !isLater)
      ) {
        return `it was told ${args.length} and read ${text.length}`;
      }
      const { whole = "" } = outcome.written ?? {};
      if (text !== whole.slice(0, text.length)) return "it read another text";
      if (wasDeleted(outcome)) return null;
      if (stored.stream?.status !== args.status) {
        return `it was told ${args.status}, and it is ${stored.stream?.status}`;
      }
      const saved = savedText(outcome);
      const isFinalText = isLastSaveOf(winner?.action, endingOf(outcome));
      return isFinalText && text !== saved
        ? `it read ${text.length} of ${saved.length}`
        : null;
    },
  },

  answersFitTheClaim: {
    rule: "2.3",
    says: "Who did not get the stream is told so: 205, or 404 if it is deleted; generate resolves to false.",
    harm: "other",
    check: (outcome) =>
      first(outcome.callers, (caller) => {
        const { plan, action, manuscript, sent, generated } = caller;
        if (sent?.cancelled === true) return null;
        const answer = sent?.status;
        if (action.fate === "died" || manuscript.started) return null;
        if (plan.how !== "stream") {
          if (generated === "rejected" && wasDeleted(outcome)) return null;
          // Or its claim failed again and again.
          if (generated === "rejected" && action.failures.length > 0)
            return null;
          return generated === "declined"
            ? null
            : `generate ${generated ?? "goes on"} without having run its writer`;
        }
        if (answer === 205 || answer === 500) return null;
        // It never arrived.
        if (plan.isLost && answer === undefined) return null;
        return answer === 404 && wasDeleted(outcome)
          ? null
          : `the answer was ${answer}`;
      }),
  },

  generateTellsTheTruth: {
    rule: "4.1",
    says: "generate() resolves only if all is saved, or the stream was ended by somebody else; it rejects only if the writer threw or text could not be saved.",
    harm: "lost",
    check: ({ winner, deployment }) => {
      if (winner === undefined || winner.generated === null) return null;
      const { action, manuscript, generated } = winner;
      const saved = deployment.changes.some(
        ({ by, final, tail }) => by === action && final && tail !== null,
      );
      const wasStopped = manuscript.stoppedAt !== null;
      if (generated === "resolved") {
        return saved || deployment.tail === null
          ? null
          : "it resolved, and nothing was saved last";
      }
      return manuscript.ended === "threw" ||
        wasStopped ||
        action.failures.length > 0
        ? null
        : "it rejected for no reason";
    },
  },

  readersHaveAPrefix: {
    rule: "6.6",
    says: "What a reader has is at all times a prefix of what was appended.",
    harm: "doubled",
    check: ({ readers }) => complaint(readers, "prefix"),
  },

  readersNeverLoseText: {
    rule: "6.6",
    says: "What a reader has never shrinks and never changes.",
    harm: "lost",
    check: ({ readers }) => complaint(readers, "growth"),
  },

  readersAreNotRefused: {
    rule: "1.6",
    says: "A reader is refused only if the stream was deleted.",
    harm: "other",
    check: (outcome) =>
      complaint(outcome.readers, "failure") ??
      first(outcome.readers, ({ name, refused }) =>
        refused && !wasDeleted(outcome) ? name : null,
      ),
  },

  readersHaveAll: {
    rule: "6.9",
    says: "A reader that has read to the end has all that is saved.",
    harm: "lost",
    check: (outcome) => {
      if (wasDeleted(outcome)) return null;
      const saved = savedText(outcome);
      return first(outcome.readers, ({ name, ended, text }) => {
        // Who drives a stream that cannot be saved, or whose action dies, has more.
        const differs = difference(text.slice(0, saved.length), saved);
        return ended && differs !== null ? `${name}: ${differs}` : null;
      });
    },
  },

  readersEndAsTheStream: {
    rule: "6.8",
    says: "A reader that has read to the end says how the stream ended.",
    harm: "other",
    check: (outcome) => {
      const { stream } = outcome.stored;
      if (wasDeleted(outcome) || stream === null) return null;
      const isRight = ({ status, reads03 }: Outcome["readers"][number]) =>
        status === stream.status ||
        (reads03 && status === statusOf03(stream.status));
      return first(outcome.readers, (reader) =>
        reader.ended && !isRight(reader)
          ? `${reader.name} says ${reader.status}, the stream ${stream.status}`
          : null,
      );
    },
  },

  fewRequests: {
    rule: "7.7",
    says: "A hook gets one answer for each time that it became the one who drives.",
    harm: "other",
    check: ({ hooks }) =>
      first(hooks, ({ hook: { reader, drives }, answered }) =>
        answered > drives
          ? `${reader.name} got ${answered} answers for ${drives}`
          : null,
      ),
  },

  nothingStaysOfAPage: {
    rule: "6.9",
    says: "When all components are gone, so are their timers and subscriptions.",
    harm: "other",
    check: ({ browser: { timers, subscriptions } }) =>
      timers.armed > 0 || subscriptions > 0
        ? `${timers.armed} timers and ${subscriptions} subscriptions are left`
        : null,
  },

  bodyIsWhatIsSaved: {
    rule: "4.2",
    says: "When the writer's action closes its body, all of it is saved, with its final status.",
    harm: "lost",
    check: (outcome) => {
      const { winner, deployment, happenings } = outcome;
      if (winner?.sent?.closed !== true || wasDeleted(outcome)) return null;
      if (cameTooLate(outcome)) return null;
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
  },

  statusesGoForward: {
    rule: "1.2",
    says: "A status only moves forward, and a final one never changes.",
    harm: "other",
    check: ({ readers, deployment }) => {
      const said = complaint(readers, "status");
      if (said !== null) return said;
      return pairs(deployment.changes, (before, after) => {
        if (!before.tail || !after.tail) return null;
        const [was, is] = [before.tail.status, after.tail.status];
        const back =
          (isFinal(was) && was !== is) ||
          (was === "streaming" && is === "pending");
        return back ? `${was}, then ${is}` : null;
      });
    },
  },

  onlyLastWordsAfterTheEnd: {
    rule: "4.5",
    says: "The text of an ended stream changes only by the last words of its writer, while it is draining.",
    harm: "other",
    check: ({ deployment, winner }) =>
      pairs(deployment.changes, (before, after) => {
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
  },

  theStatusIsTheWriters: {
    rule: "4.1",
    says: "A stream that nobody else ends is done if its writer returned, error if it threw.",
    harm: "other",
    check: (outcome) => {
      const { winner, stored, schedule } = outcome;
      if (winner === undefined || wasDeleted(outcome)) return null;
      const { action, manuscript } = winner;
      if (action.fate !== "ended" || manuscript.stoppedAt !== null) return null;
      if (outcome.happenings.has("nothing can be saved any more")) return null;
      const meddled = schedule.outside.some(({ what }) =>
        ["abort", "set", "cron", "sleep", "clock", "stall"].includes(what),
      );
      if (meddled) return null;
      const expected = manuscript.ended === "threw" ? "error" : "done";
      const status = stored.stream?.status;
      return status === expected ? null : `it is ${status}`;
    },
  },

  everyStreamEnds: {
    rule: "4.8",
    says: "A stream ends: by its writer, or by the cron.",
    harm: "stuck",
    check: (outcome) => {
      const { stored } = outcome;
      if (stored.stream === null) {
        return wasDeleted(outcome) ? null : "the stream is gone";
      }
      return isFinal(stored.stream.status)
        ? null
        : `it is ${stored.stream.status}`;
    },
  },

  theLivingAreNotTimedOut: {
    rule: "4.8",
    says: "No check ends a stream that gave a sign of life within 2 minutes, or 20 if nobody has claimed it.",
    harm: "lost",
    check: ({ deployment }) => {
      const { changes } = deployment;
      let sign = deployment.createdAt;
      let length = 0;
      let last: Change["by"] = null;
      let isReleased = false;
      for (const { by, what, holder, empty, final, tail, wall } of changes) {
        if (tail === null || isFinal(tail.status)) {
          // A writer that failed may have left it to another, and none came.
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
        // A last save has released the claim. If it arrives a second time, late, it is
        // refused: that is no sign of life.
        if (isReleased) continue;
        // Clocks that go back do not make a sign older.
        if (what === "append" && by === holder && (grew || empty || final)) {
          sign = wall;
          isReleased = final;
        }
      }
      return null;
    },
  },

  theWriterIsToldInTime: {
    rule: "4.4",
    says: "A writer's signal fires within about a second of an end from outside, while calls go well.",
    harm: "stuck",
    check: (outcome) =>
      first(outcome.callers, (caller) => {
        const { manuscript, action } = caller;
        const { holders } = outcome.deployment;
        const index = holders.findIndex((one) => one.action === action);
        if (index < 0 || !manuscript.started) return null;
        // Another one takes over, or the stream ends.
        const ending = endingOf(outcome);
        const stop = holders[index + 1] ?? ending;
        if (stop === undefined || isLastSaveOf(action, ending)) return null;
        // And where it was set back, so does the time since the last look.
        const wasSetBack = outcome.happenings.has("clock set back");
        const limit =
          stop.at + (wasSetBack ? 2 : 1) * LOOKS + delay(caller) + SLACK;
        if (!isCalm(outcome, caller, stop.at, limit)) return null;
        const told = manuscript.stoppedAt ?? Infinity;
        const { endedAt } = manuscript;
        const ended = Math.min(endOf(caller), diedAt(caller), endedAt);
        if (ended <= limit || told <= limit) return null;
        return `it fired ${told - stop.at} ms after it (${action.fate}, ${ended})`;
      }),
  },

  nothingGoesOnForEver: {
    rule: "6.9",
    says: "Every writer's action and every reader comes to an end.",
    harm: "stuck",
    check: ({ stuck }) => (stuck.length > 0 ? stuck.join(", ") : null),
  },

  nothingIsLeftBehind: {
    rule: "4.2",
    says: "When an action has ended, none of its timers runs and none of its calls is on its way.",
    harm: "lost",
    check: ({ deployment }) =>
      first(deployment.actions, ({ left }) =>
        left !== null && (left.calls > 0 || left.timers > 0)
          ? `${left.calls} calls and ${left.timers} timers are left`
          : null,
      ),
  },

  fewOperations: {
    rule: "3.5",
    says: `An action has at most two calls on their way, and ${MOST_TIMERS} timers running, cleared ones counted.`,
    harm: "other",
    check: ({ deployment }) =>
      first(deployment.actions, ({ mostCallsInFlight, timers }) =>
        mostCallsInFlight > 2 || timers.mostRunning > MOST_TIMERS
          ? `${mostCallsInFlight} calls, ${timers.mostRunning} timers`
          : null,
      ),
  },

  noRejectionIsUnhandled: {
    rule: "4.2",
    says: "No rejection is unhandled: on a deployment, that ends the action.",
    harm: "lost",
    check: ({ rejections }) =>
      rejections.length > 0 ? rejections.map(String).join("; ") : null,
  },

  deletedIsDeleted: {
    rule: "4.10",
    says: "No chunk is without its stream.",
    harm: "other",
    check: ({ stored: { stream, chunks } }) =>
      stream === null && chunks.length > 0
        ? `${chunks.length} chunks are left`
        : null,
  },

  scheduledFunctionsSucceed: {
    rule: "4.10",
    says: "Every scheduled function has run, and succeeded.",
    harm: "other",
    check: ({ stored: { unfinished } }) =>
      first(unfinished, ({ name, state }) => `${name}: ${state.kind}`),
  },

  chunksAreContiguous: {
    rule: "5.1",
    says: "Chunks follow one another without a gap, each of valid Unicode and within its limit.",
    harm: "lost",
    check: ({ stored: { chunks } }) => {
      let end = 0;
      return first(chunks, ({ start, text }) => {
        if (start !== end) return `one starts at ${start} for ${end}`;
        end += text.length;
        if (text === "") return `one at ${start} is empty`;
        if (text.length > CHUNK_LIMIT) return `one is ${text.length} long`;
        if (/\p{Surrogate}/u.test(text)) {
          return `one at ${start} has half a character`;
        }
        return null;
      });
    },
  },

  chunksArePacked: {
    rule: "5.2",
    says: "The chunks of an ended stream are packed into as few documents as hold them.",
    harm: "other",
    check: (outcome) => {
      const { chunks } = outcome.stored;
      const fewest = Math.ceil(savedText(outcome).length / CHUNK_LIMIT);
      return chunks.length > fewest + 1
        ? `${chunks.length} for ${fewest}`
        : null;
    },
  },
};

function complaint(readers: Outcome["readers"], of: string): string | null {
  return first(
    readers,
    ({ complaints }) => complaints.find((one) => one.of === of)?.says ?? null,
  );
}

function pairs(
  changes: Change[],
  say: (before: Change, after: Change) => string | null,
): string | null {
  return first(changes.slice(1), (after) =>
    say(changes[changes.indexOf(after) - 1] as Change, after),
  );
}

const takesOver = ({ plan }: { plan: Pick<Caller["plan"], "how"> }) =>
  plan.how === "take over";
const diedAt = ({ action }: Caller) =>
  action.fate === "died" ? action.overAt : Infinity;
const endOf = ({ action }: Caller) =>
  action.fate === "ended" ? action.overAt : Infinity;
