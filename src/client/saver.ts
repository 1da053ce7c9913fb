import type { Value } from "convex/values";
import {
  cutLength,
  DEFAULT_TIMEOUT_MS,
  isFinal,
  type StreamError,
  type StreamStatus,
} from "../shared.js";
import { due, mayEnd, type FlushPolicy } from "./flush.js";
import { backOff, now, sleep } from "../time.js";

/**
 * The state of a claimed stream in the database: its status, null if it was deleted,
 * or that another writer has taken it over.
 */
export type ClaimStatus = StreamStatus | "takenOver" | null;

/** How a writer releases its claim. `"open"` leaves the stream to a writer that takes it over. */
export interface LastSave {
  final: "done" | "error" | "open";
  /** Why the writer failed. */
  error?: StreamError | undefined;
  /** What the writer returned. */
  result?: Value | undefined;
  /** Leave the app's `onComplete` for later, because the stream could not be ended with it. */
  owe?: boolean | undefined;
}

/** A claimed stream, as its writer sees it. A call that fails may have been carried out anyway. */
export interface ClaimedStream {
  /** The offset where the writer starts. Default: 0. */
  start?: number | undefined;
  /** How long (ms) the writer may show no sign of life. Default: 2 minutes. */
  timeoutMs?: number | undefined;
  /** Saves text that starts at offset `start`. */
  append(start: number, text: string, last?: LastSave): Promise<ClaimStatus>;
  status(): Promise<ClaimStatus>;
}

/**
 * The largest commit (UTF-16 code units). At 3 bytes each, it is far below the 16 MiB
 * limit on arguments.
 */
const COMMIT_LIMIT_CHARS = 1024 * 1024;
/**
 * Appending waits while more than this is unsaved (UTF-16 code units). Saving then
 * ignores boundaries, because that much text may have none.
 */
const UNSAVED_LIMIT_CHARS = 1024 * 1024;
/**
 * The status is read after this long (ms) without news, because someone may have
 * stopped the stream.
 */
const WATCH_INTERVAL_MS = 1000;
/**
 * The longest timer (ms). On a deployment a cleared timer keeps running, and 1,000
 * running timers end the function.
 */
const LONGEST_TIMER_MS = 10_000;
/**
 * In a pause, a sign of life is sent each time this share of the time-out has passed,
 * and the status is read at least as often as the other share. So at least four signs
 * arrive in time.
 */
const HEARTBEAT_PART = 1 / 5;
const WATCH_PART = 1 / 20;
/**
 * Consecutive failed saves (about 6 s) before the stream accepts no more text. Tokens
 * that cannot be saved should not be paid for.
 */
const ATTEMPTS = 7;
/**
 * Consecutive failed saves (another 75 s) before the last save is given up. The
 * stream then times out.
 */
const LAST_ATTEMPTS = ATTEMPTS + 15;

/**
 * Saves appended text while generation continues.
 *
 * One commit is in flight at a time. Text that arrives meanwhile collects, and the
 * next commit takes all of it: the slower the database, the larger the batches. A
 * failed commit is repeated from the same offset, together with the text that has
 * arrived since.
 */
export class Saver {
  private readonly unsaved = new Unsaved();
  /** The part of the unsaved text that has not been searched for a boundary. */
  private fresh = "";
  /** How much of it a failed save may have saved. The next one takes at least as much. */
  private attempted = 0;
  /** Everything before this offset is saved. */
  private saved: number;
  /** How this writer is ending the stream, if it is. */
  private ending: LastSave | null = null;
  /** Whether this writer has lost the stream: deleted, or taken over. */
  private isGone = false;
  private inFlight: Promise<void> | null = null;
  private failures = 0;
  private lastError: unknown;
  /** No commit begins before this time (ms). */
  private notBefore = -Infinity;
  private savedAt = now();
  private heardAt = now();
  private wakeTimer: ReturnType<typeof setTimeout> | null = null;
  private wakeAt = Infinity;
  private watchTimer: ReturnType<typeof setTimeout> | null = null;
  private watching: Promise<void> | null = null;
  private waiting: (() => void)[] = [];
  private resolveStopped!: () => void;
  private readonly watchIntervalMs: number;
  private readonly heartbeatIntervalMs: number;

  constructor(
    private readonly streamId: string,
    private readonly stream: ClaimedStream,
    private readonly policy: FlushPolicy,
  ) {
    const { start = 0, timeoutMs = DEFAULT_TIMEOUT_MS } = stream;
    this.saved = start;
    this.heartbeatIntervalMs = timeoutMs * HEARTBEAT_PART;
    this.watchIntervalMs = Math.min(WATCH_INTERVAL_MS, timeoutMs * WATCH_PART);
    this.watch();
  }

  /** Resolves when something other than the writer ends the stream. `stopReason` says why. */
  readonly stopped = new Promise<void>((resolve) => {
    this.resolveStopped = resolve;
  });

  /** Why no more text is accepted: the stream was ended or deleted from outside, or cannot be saved. */
  stopReason: Error | null = null;

  /** The same error, if the stream cannot be saved. */
  failure: Error | null = null;

  /** Adds text, to be saved according to the flush policy. */
  add(text: string): void {
    if (text === "") return;
    this.unsaved.push(text, now());
    this.fresh += text;
    this.pump();
  }

  /** Waits while too much is unsaved and the stream has not been stopped. */
  async room(): Promise<void> {
    while (
      this.unsaved.length > UNSAVED_LIMIT_CHARS &&
      this.stopReason === null
    ) {
      await new Promise<void>((resolve) => this.waiting.push(resolve));
    }
  }

  /**
   * Saves the rest and ends the stream, in one commit. A stream that was ended from
   * outside keeps its status.
   *
   * The stream ends whatever the app's `onComplete` does. If that makes the commit
   * fail, the text is saved alone, then the stream is ended again, and then it is
   * ended with the callback left for later.
   *
   * @throws The error of the last attempt, if it cannot be saved.
   */
  async finish(last: LastSave): Promise<void> {
    this.ending = last;
    this.stopTimers();
    await this.inFlight;
    // No call may be in flight when the action ends.
    await this.watching;
    let refusals = 0;
    while (this.failures < LAST_ATTEMPTS) {
      if (this.isGone) return;
      if (this.failures > 0) await sleep(this.notBefore - now());
      const { length } = this.unsaved;
      if (length > COMMIT_LIMIT_CHARS) {
        await this.commit(this.fullBatch());
      } else if (refusals > 0 && length > 0) {
        await this.commit(length);
      } else {
        const owe = refusals > 1 ? { owe: true } : {};
        const status = await this.commit(length, { ...last, ...owe });
        if (status !== undefined) return;
        refusals++;
      }
    }
    throw this.lastError;
  }

  /** Starts a commit if one is due, or sets a timer for the next check. */
  private pump(): void {
    if (this.ending !== null || this.stopReason !== null) return;
    if (this.inFlight !== null) return;
    if (this.unsaved.length === 0) return;
    const time = now();
    if (time < this.notBefore) return this.wake(this.notBefore);
    const age = this.unsaved.age(time);
    const length = this.lengthDue(age);
    if (length === 0) return this.wake(time - age + this.policy.maxDelayMs);
    this.inFlight = this.commit(length).then(() => {
      this.inFlight = null;
      this.pump();
    });
  }

  /** How much to save now (UTF-16 code units). */
  private lengthDue(age: number): number {
    const { unsaved, policy } = this;
    // Failed text goes again, with everything that has arrived since.
    if (this.failures > 0 || unsaved.length >= COMMIT_LIMIT_CHARS) {
      return this.fullBatch();
    }
    const fresh = this.fresh;
    this.fresh = "";
    if (
      unsaved.length < policy.maxChars &&
      age < policy.maxDelayMs &&
      !mayEnd(fresh, policy.boundary)
    ) {
      return 0;
    }
    try {
      return due(unsaved.text, age, policy);
    } catch (error) {
      // The app's own boundary function threw, perhaps in a timer, where the error
      // would end the whole action.
      this.fail(error, "its flush boundary threw");
      return 0;
    }
  }

  /**
   * The largest batch for one commit. With the boundary "line" it ends at a line
   * break, if there is one.
   */
  private fullBatch(): number {
    const head = this.unsaved.text.slice(
      0,
      cutLength(this.unsaved.text, COMMIT_LIMIT_CHARS),
    );
    const lines =
      this.policy.boundary === "line" ? head.lastIndexOf("\n") + 1 : 0;
    return Math.max(lines || head.length, this.attempted);
  }

  /**
   * Tries once to save the first `length` code units.
   *
   * @returns The state of the stream, undefined if there was no answer. Never
   *   rejects.
   */
  private async commit(
    length: number,
    last?: LastSave,
  ): Promise<ClaimStatus | undefined> {
    const text = this.unsaved.text.slice(0, length);
    let status: ClaimStatus;
    try {
      status = await this.stream.append(this.saved, text, last);
    } catch (error) {
      this.attempted = length;
      this.failures++;
      this.lastError = error;
      this.notBefore = now() + backOff(this.failures);
      if (this.failures === ATTEMPTS) this.fail(error, "it cannot be saved");
      return undefined;
    }
    this.failures = 0;
    // Even if the stream was ended from outside, the text is saved. If it was deleted
    // or taken over, the text no longer matters.
    this.unsaved.drop(length);
    this.fresh = this.unsaved.text;
    this.attempted = 0;
    this.saved += length;
    this.savedAt = now();
    this.heard(status);
    this.notBefore = this.savedAt + this.policy.minDelayMs;
    this.letWaitersGoOn();
    return status;
  }

  /** Handles the stream's state in the database. */
  private heard(status: ClaimStatus): void {
    this.heardAt = now();
    this.isGone = status === null || status === "takenOver";
    const isOver = this.isGone || isFinal(status as StreamStatus);
    if (isOver && status !== this.ending?.final) {
      this.stop(endedError(this.streamId, status, this.length));
    }
  }

  /** The offset where the appended text ends. */
  private get length(): number {
    return this.saved + this.unsaved.length;
  }

  private fail(cause: unknown, what: string): void {
    this.failure ??= new Error(
      `Stream ${this.streamId} was stopped at character ${this.length}: ${what}.`,
      { cause },
    );
    this.stop(this.failure);
  }

  private stop(reason: Error): void {
    if (this.stopReason !== null) return;
    this.stopReason = reason;
    this.stopTimers();
    this.resolveStopped();
    this.letWaitersGoOn();
  }

  private letWaitersGoOn(): void {
    for (const goOn of this.waiting.splice(0)) goOn();
  }

  /**
   * Checks again at `time` (ms). At most one timer matters, and it is replaced about
   * once per commit, never once per token: on a deployment a cleared timer counts as
   * running until its time is up.
   */
  private wake(time: number): void {
    if (this.wakeAt <= time) return;
    if (this.wakeTimer !== null) clearTimeout(this.wakeTimer);
    this.wakeAt = time;
    this.wakeTimer = setTimeout(
      () => {
        this.wakeTimer = null;
        this.wakeAt = Infinity;
        this.pump();
      },
      Math.min(LONGEST_TIMER_MS, Math.max(0, time - now())),
    );
  }

  /** Reads the status during pauses, so a stop is noticed even when nothing is being saved. */
  private watch(): void {
    const quiet = now() - this.heardAt;
    const left = this.watchIntervalMs - quiet;
    this.watchTimer = setTimeout(
      () => {
        this.watching = this.checkStatus().then(() => {
          if (this.ending === null && this.stopReason === null) this.watch();
        });
      },
      left > 0 ? left : this.watchIntervalMs,
    );
  }

  private async checkStatus(): Promise<void> {
    const time = now();
    if (time - this.heardAt < this.watchIntervalMs) return;
    // The answer to a commit in flight, or about to start, brings the same news.
    if (this.inFlight !== null) return;
    if (this.wakeAt - time < this.watchIntervalMs / 4) return;
    try {
      const status =
        time - this.savedAt < this.heartbeatIntervalMs
          ? await this.stream.status()
          : await this.heartbeat();
      // While the stream is ending, the answer to the last save counts.
      if (this.ending === null) this.heard(status);
    } catch {
      // The next check or commit will tell.
    }
  }

  private async heartbeat(): Promise<ClaimStatus> {
    const status = await this.stream.append(this.saved, "");
    this.savedAt = now();
    return status;
  }

  private stopTimers(): void {
    if (this.wakeTimer !== null) clearTimeout(this.wakeTimer);
    if (this.watchTimer !== null) clearTimeout(this.watchTimer);
  }
}

function endedError(
  streamId: string,
  status: ClaimStatus,
  offset: number,
): Error {
  const how = {
    aborted: "was aborted",
    timeout: "has timed out",
    done: "was set to done",
    error: "was set to error",
    takenOver: "was taken over by another writer",
    deleted: "was deleted",
    pending: "has ended",
    streaming: "has ended",
  }[status ?? "deleted"];
  const error = new Error(
    `Stream ${streamId} ${how} at character ${offset}, so nothing more can be appended. Create a new stream to try again.`,
  );
  error.name = "AbortError";
  return error;
}

/** Unsaved text, and its age. */
class Unsaved {
  text = "";
  /** Where the text of each append ends (a length of `text`), and when it arrived (ms). */
  private arrivals: { end: number; at: number }[] = [];

  get length(): number {
    return this.text.length;
  }

  push(text: string, now: number): void {
    this.text += text;
    const last = this.arrivals.at(-1);
    if (last?.at === now) last.end = this.text.length;
    else this.arrivals.push({ end: this.text.length, at: now });
  }

  /** Milliseconds since the oldest character arrived, 0 if there is none. */
  age(now: number): number {
    const oldest = this.arrivals[0];
    return oldest === undefined ? 0 : now - oldest.at;
  }

  /** Removes the first `length` code units, which are saved. */
  drop(length: number): void {
    this.text = this.text.slice(length);
    this.arrivals = this.arrivals
      .map(({ end, at }) => ({ end: end - length, at }))
      .filter(({ end }) => end > 0);
  }
}
