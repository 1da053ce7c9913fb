import { cutLength, type StreamStatus, isFinal } from "../shared.js";
import { due, mayEnd, type FlushPolicy } from "./flush.js";
import { backOff, now, sleep, throwIfAborted } from "../time.js";

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

/** Commits begin at least this far apart (ms). Few readers see it, and the bill does: a third fewer calls than at 250. */
const COMMIT_DISTANCE = 400;
/** No commit carries more (UTF-16 code units): with 3 bytes for each, it is far from the 16 MiB that arguments may have. */
const COMMIT_LIMIT = 1024 * 1024;
/** Appending waits while more than this is unsaved (UTF-16 code units). Then no boundary is waited for: there may be none in so much text. */
const UNSAVED_LIMIT = 1024 * 1024;
/** When nothing was heard of the stream for this long (ms), its status is asked for: somebody may have aborted it. */
const WATCH_INTERVAL = 1000;
/** No timer runs longer (ms): on a deployment one that is cleared runs on, and 1,000 of them end the function. */
const LONGEST_TIMER = 10_000;
/** In a long pause, a sign of life is given this often (ms): the cron takes a stream for dead after 20 minutes. */
const HEARTBEAT_INTERVAL = 5 * 60 * 1000;
/** After so many failures in a row (6 s) the writer is stopped: no more tokens are paid for that cannot be saved. */
const ATTEMPTS = 7;
/** After so many (another 75 s) the last save is given up, and the stream left to the cron. */
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
  private looking: Promise<void> | null = null;
  private waiting: (() => void)[] = [];
  private readonly controller = new AbortController();

  constructor(
    private readonly streamId: string,
    private readonly stream: ClaimedStream,
    private readonly policy: FlushPolicy,
  ) {
    this.watch();
  }

  /**
   * Fires when nothing more can be appended. Its reason is an `Error` that says
   * why: the stream was ended or deleted from outside, or cannot be saved.
   */
  get signal(): AbortSignal {
    return this.controller.signal;
  }

  /** Why nothing more can be saved, if that is so. */
  failure: Error | null = null;

  /** Takes text on. It is saved as the flush policy says. */
  add(text: string): void {
    if (text === "") return;
    this.unsaved.push(text, now());
    this.fresh += text;
    this.pump();
  }

  /** Waits while too much is unsaved. Rejects with the signal's reason once that has fired. */
  async room(): Promise<void> {
    while (this.unsaved.length > UNSAVED_LIMIT && !this.signal.aborted) {
      await new Promise<void>((resolve) => this.waiting.push(resolve));
    }
    throwIfAborted(this.signal);
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
    // Nothing may be under way when the action ends.
    await this.looking;
    while (this.failures < LAST_ATTEMPTS) {
      if (this.deleted) return null;
      if (this.failures > 0) await sleep(this.notBefore - now());
      const last = this.unsaved.length <= COMMIT_LIMIT;
      const length = last ? this.unsaved.length : this.fullBatch();
      const status = await this.commit(length, last ? final : undefined);
      if (last && status !== undefined) return status;
    }
    throw this.lastError;
  }

  /** Begins a commit if one is due, or sees to it that this is looked at again when it may be. */
  private pump(): void {
    if (this.finishing || this.signal.aborted || this.inFlight !== null) return;
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
    if (this.failures > 0 || unsaved.length >= COMMIT_LIMIT) {
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
      cutLength(this.unsaved.text, COMMIT_LIMIT),
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
      this.savedAt + Math.min(COMMIT_DISTANCE, this.policy.maxDelayMs);
    this.letWaitersGoOn();
    return status;
  }

  /** Takes note of what the database says of the stream; `final` is what it was just told. */
  private heard(status: StreamStatus | null, final?: "done" | "error"): void {
    this.heardAt = now();
    if (status === null) this.deleted = true;
    if (status === null || (isFinal(status) && status !== final)) {
      this.cut(endedError(this.streamId, status, this.length));
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
    this.cut(this.failure);
  }

  private cut(reason: Error): void {
    if (this.signal.aborted) return;
    this.stopTimers();
    this.controller.abort(reason);
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
      Math.min(LONGEST_TIMER, Math.max(0, time - now())),
    );
  }

  /** Learns of an abort even while nothing is appended, when no commit's answer would tell. */
  private watch(): void {
    const quiet = now() - this.heardAt;
    const left = WATCH_INTERVAL - quiet;
    this.watchTimer = setTimeout(
      () => {
        this.looking = this.look().then(() => {
          if (!this.finishing && !this.signal.aborted) this.watch();
        });
      },
      left > 0 ? left : WATCH_INTERVAL,
    );
  }

  private async look(): Promise<void> {
    const time = now();
    if (time - this.heardAt < WATCH_INTERVAL) return;
    // A commit that is under way, or about to be, will tell.
    if (this.inFlight !== null || this.wakeAt - time < WATCH_INTERVAL / 4)
      return;
    try {
      const status =
        time - this.savedAt < HEARTBEAT_INTERVAL
          ? await this.stream.status()
          : await this.heartbeat();
      // What it has to say while the stream is being ended, the last save says.
      if (!this.finishing) this.heard(status);
    } catch {
      // The next look or the next commit will tell.
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
    `Stream ${streamId} ${how} at character ${offset}; nothing can be appended to it. Create a new stream to try again.`,
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
