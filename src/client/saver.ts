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

/** What the database says of a claimed stream: its status, null if it was deleted, or that another writer has the claim now. */
export type ClaimStatus = StreamStatus | "takenOver" | null;

/** How a writer gives up its claim. `"open"` leaves the stream to a writer that takes it over. */
export interface LastSave {
  final: "done" | "error" | "open";
  /** Why the writer failed. */
  error?: StreamError | undefined;
  /** What the writer returned. */
  result?: Value | undefined;
  /** Leave the app's `onComplete` for later: with it, the stream could not be ended. */
  owe?: boolean | undefined;
}

/** One claimed stream, as its writer sees it. Each call may fail, and may have been carried out all the same. */
export interface ClaimedStream {
  /** The offset at which the writer begins. Default: 0. */
  start?: number | undefined;
  /** How long (ms) the writer may show no sign of life. Default: 2 minutes. */
  timeoutMs?: number | undefined;
  /** Saves text that starts at offset `start`. */
  append(start: number, text: string, last?: LastSave): Promise<ClaimStatus>;
  status(): Promise<ClaimStatus>;
}

/** The largest commit (UTF-16 code units). At 3 bytes each, this is far from the 16 MiB that arguments may have. */
const COMMIT_LIMIT_CHARS = 1024 * 1024;
/** Appending waits while more than this is unsaved (UTF-16 code units). Saving then ignores boundaries: so much text may have none. */
const UNSAVED_LIMIT_CHARS = 1024 * 1024;
/** After this long (ms) without news of the stream, its status is read: somebody may have stopped it. */
const WATCH_INTERVAL_MS = 1000;
/** The longest timer (ms). On a deployment a cleared timer keeps running, and 1,000 of them end the function. */
const LONGEST_TIMER_MS = 10_000;
/** In a pause, this part of the time-out passes between two signs of life; and between two looks, at most that one. Together, four signs come in the time. */
const HEARTBEAT_PART = 1 / 5;
const WATCH_PART = 1 / 20;
/** Consecutive failed saves (about 6 s) before the stream accepts no more text: tokens that cannot be saved should not be paid for. */
const ATTEMPTS = 7;
/** Consecutive failed saves (another 75 s) before the last save is given up, and the stream is left to the cron. */
const LAST_ATTEMPTS = ATTEMPTS + 15;

/**
 * The database leg: saves appended text beside its generation.
 *
 * One commit is in flight at a time. Text that comes meanwhile gathers, and
 * the next commit takes all of it: the slower the database, the larger the
 * batches. A commit that failed is repeated from the same offset, with what
 * has come since.
 */
export class Saver {
  private readonly unsaved = new Unsaved();
  /** What of the unsaved text has not been searched for a boundary yet. */
  private fresh = "";
  /** How much of it a save that failed has brought, perhaps: the next brings no less. */
  private attempted = 0;
  /** The offset up to which everything is saved. */
  private saved: number;
  /** How this writer is ending the stream, while it does. */
  private ending: LastSave | null = null;
  /** Whether the stream is no longer this writer's: deleted, or taken over. */
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

  /** Resolves when something other than the writer ends the stream. `stopReason` then says why. */
  readonly stopped = new Promise<void>((resolve) => {
    this.resolveStopped = resolve;
  });

  /** Why no more text is accepted: the stream was ended or deleted from outside, or cannot be saved. */
  stopReason: Error | null = null;

  /** Set, to the same error, if the stream cannot be saved. */
  failure: Error | null = null;

  /** Takes text on. It is saved as the flush policy says. */
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
   * Saves what is left and ends the stream, in one commit. A stream that was
   * ended from outside keeps the status it was given.
   *
   * With the stream ends whatever the app's `onComplete` does. Should that make
   * the commit fail, the text is saved without it, then the stream is ended once
   * more, and then with the callback left for later.
   *
   * @returns The stream's status, or null if it was deleted or taken over.
   * @throws If it cannot be saved, the error of the last attempt.
   */
  async finish(last: LastSave): Promise<StreamStatus | null> {
    this.ending = last;
    this.stopTimers();
    await this.inFlight;
    // No call may be in flight when the action ends.
    await this.watching;
    let refusals = 0;
    while (this.failures < LAST_ATTEMPTS) {
      if (this.isGone) return null;
      if (this.failures > 0) await sleep(this.notBefore - now());
      const { length } = this.unsaved;
      if (length > COMMIT_LIMIT_CHARS) {
        await this.commit(this.fullBatch());
      } else if (refusals > 0 && length > 0) {
        await this.commit(length);
      } else {
        const owe = refusals > 1 ? { owe: true } : {};
        const status = await this.commit(length, { ...last, ...owe });
        if (status === "takenOver") return null;
        if (status !== undefined) return status;
        refusals++;
      }
    }
    throw this.lastError;
  }

  /** Begins a commit if one is due, or sets a timer for when it may be. */
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

  /** How much is to be saved now (UTF-16 code units). */
  private lengthDue(age: number): number {
    const { unsaved, policy } = this;
    // What failed goes again, with all that has come since.
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
      // The app's own boundary function threw, and perhaps in a timer, where
      // the error would end the whole action.
      this.fail(error, "its flush boundary threw");
      return 0;
    }
  }

  /** The largest batch that a commit may carry: of whole lines, where lines count and there are any. */
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
   * One attempt to save the first `length` code units.
   *
   * @returns What the database says of the stream, undefined if there was no answer. Never rejects.
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
    if (status === "takenOver") {
      this.heard(status);
      return status;
    }
    // Ended from outside or not, the text is saved.
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

  /** Takes in what the database says of the stream. */
  private heard(status: ClaimStatus): void {
    this.heardAt = now();
    this.isGone = status === null || status === "takenOver";
    const isOver = this.isGone || isFinal(status as StreamStatus);
    if (isOver && status !== this.ending?.final) {
      this.stop(endedError(this.streamId, status, this.length));
    }
  }

  /** The offset at which the appended text ends. */
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
   * Looks again at `time` (ms). At most one timer matters, and it is set anew
   * about once a commit, never once a token: on a deployment a cleared timer
   * still counts as running until its time has come.
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
    // The answer to a commit in flight, or about to be, says as much.
    if (this.inFlight !== null) return;
    if (this.wakeAt - time < this.watchIntervalMs / 4) return;
    try {
      const status =
        time - this.savedAt < this.heartbeatIntervalMs
          ? await this.stream.status()
          : await this.heartbeat();
      // While the stream is being ended, the answer to the last save counts.
      if (this.ending === null) this.heard(status);
    } catch {
      // The next check or the next commit will tell.
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

/** Text that waits to be saved, and since when. */
class Unsaved {
  text = "";
  /** Where the text of each append ends (a length of `text`), and when that came (ms). */
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

  /** Milliseconds since the oldest character came, 0 if there is none. */
  age(now: number): number {
    const oldest = this.arrivals[0];
    return oldest === undefined ? 0 : now - oldest.at;
  }

  /** Takes `length` code units off the front: they are saved. */
  drop(length: number): void {
    this.text = this.text.slice(length);
    this.arrivals = this.arrivals
      .map(({ end, at }) => ({ end: end - length, at }))
      .filter(({ end }) => end > 0);
  }
}
