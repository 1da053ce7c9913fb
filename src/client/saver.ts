import { cutLength, type StreamStatus, isFinal } from "../shared.js";
import { due, mayEnd, type FlushPolicy } from "./flush.js";
import { backOff, now, sleep } from "../time.js";

/** One claimed stream, as its writer sees it. Each call may fail, and may have been carried out all the same. */
export interface ClaimedStream {
  /** Saves text that starts at offset `start`. Null says that the stream has been deleted. */
  append(
    start: number,
    text: string,
    final?: "done" | "error",
  ): Promise<StreamStatus | null>;
  /** `error` for a stream that has been deleted. */
  status(): Promise<StreamStatus>;
}

/** The shortest time (ms) between the starts of two commits. Few readers notice; a third fewer calls than at 250. */
const COMMIT_DISTANCE_MS = 400;
/** The largest commit (UTF-16 code units). At 3 bytes each, this is far from the 16 MiB that arguments may have. */
const COMMIT_LIMIT_CHARS = 1024 * 1024;
/** Appending waits while more than this is unsaved (UTF-16 code units). Saving then ignores boundaries: so much text may have none. */
const UNSAVED_LIMIT_CHARS = 1024 * 1024;
/** After this long (ms) without news of the stream, its status is read: somebody may have stopped it. */
const WATCH_INTERVAL_MS = 1000;
/** The longest timer (ms). On a deployment a cleared timer keeps running, and 1,000 of them end the function. */
const LONGEST_TIMER_MS = 10_000;
/** In a long pause, a sign of life is given this often (ms): the cron takes a stream for dead after 20 minutes. */
const HEARTBEAT_INTERVAL_MS = 5 * 60 * 1000;
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
  private saved = 0;
  private finishing = false;
  private deleted = false;
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

  constructor(
    private readonly streamId: string,
    private readonly stream: ClaimedStream,
    private readonly policy: FlushPolicy,
  ) {
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
   * @returns The stream's status, or null if it was deleted.
   * @throws If it cannot be saved, the error of the last attempt.
   */
  async finish(final: "done" | "error"): Promise<StreamStatus | null> {
    this.finishing = true;
    this.stopTimers();
    await this.inFlight;
    // No call may be in flight when the action ends.
    await this.watching;
    while (this.failures < LAST_ATTEMPTS) {
      if (this.deleted) return null;
      if (this.failures > 0) await sleep(this.notBefore - now());
      const last = this.unsaved.length <= COMMIT_LIMIT_CHARS;
      const length = last ? this.unsaved.length : this.fullBatch();
      const status = await this.commit(length, last ? final : undefined);
      if (last && status !== undefined) return status;
    }
    throw this.lastError;
  }

  /** Begins a commit if one is due, or sets a timer for when it may be. */
  private pump(): void {
    if (this.finishing || this.stopReason !== null) return;
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
   * @returns The stream's status (null if deleted), undefined if there was no answer. Never rejects.
   */
  private async commit(
    length: number,
    final?: "done" | "error",
  ): Promise<StreamStatus | null | undefined> {
    const text = this.unsaved.text.slice(0, length);
    let status: StreamStatus | null;
    try {
      status = await this.stream.append(this.saved, text, final);
    } catch (error) {
      this.attempted = length;
      this.failures++;
      this.lastError = error;
      this.notBefore = now() + backOff(this.failures);
      if (this.failures === ATTEMPTS) this.fail(error, "it cannot be saved");
      return undefined;
    }
    this.failures = 0;
    // Ended from outside or not, the text is saved.
    this.unsaved.drop(length);
    this.fresh = this.unsaved.text;
    this.attempted = 0;
    this.saved += length;
    this.savedAt = now();
    this.heard(status, final);
    this.notBefore =
      this.savedAt + Math.min(COMMIT_DISTANCE_MS, this.policy.maxDelayMs);
    this.letWaitersGoOn();
    return status;
  }

  /** Takes in what the database says of the stream. `final` is the status it was just given. */
  private heard(status: StreamStatus | null, final?: "done" | "error"): void {
    this.heardAt = now();
    if (status === null) this.deleted = true;
    if (status === null || (isFinal(status) && status !== final)) {
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
    const left = WATCH_INTERVAL_MS - quiet;
    this.watchTimer = setTimeout(
      () => {
        this.watching = this.checkStatus().then(() => {
          if (!this.finishing && this.stopReason === null) this.watch();
        });
      },
      left > 0 ? left : WATCH_INTERVAL_MS,
    );
  }

  private async checkStatus(): Promise<void> {
    const time = now();
    if (time - this.heardAt < WATCH_INTERVAL_MS) return;
    // The answer to a commit in flight, or about to be, says as much.
    if (this.inFlight !== null || this.wakeAt - time < WATCH_INTERVAL_MS / 4)
      return;
    try {
      const status =
        time - this.savedAt < HEARTBEAT_INTERVAL_MS
          ? await this.stream.status()
          : await this.heartbeat();
      // While the stream is being ended, the answer to the last save counts.
      if (!this.finishing) this.heard(status);
    } catch {
      // The next check or the next commit will tell.
    }
  }

  private async heartbeat(): Promise<StreamStatus | null> {
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
  status: StreamStatus | null,
  offset: number,
): Error {
  const how = {
    aborted: "was aborted",
    timeout: "has timed out",
    done: "was set to done",
    error: "was deleted or set to error",
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
