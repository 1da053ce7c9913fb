import { type StreamError, type StreamStatus, isFinal } from "../shared.js";
import { continuation, formatOffset, isOffset, wire } from "../protocol.js";
import {
  valueOf,
  type Fetch,
  type HeaderValues,
  type ValueOrFunction,
} from "./http-side.js";
import { backOff, now, pause, throwIfAborted } from "../time.js";
import {
  driven,
  giveWay,
  listenForWakes,
  makeRoomUntil,
  ReadStreamError,
  resumed,
  textOf,
  UnavailableError,
  urlOf,
  withQuery,
  type Answer,
} from "./request.js";

/** A response without text for this long (ms) may be buffered somewhere, so the text is also requested another way. */
const HELD_BACK_MS = 2500;
/** The same, for a response that has delivered text or is known not to be buffered. */
const SILENCE_MS = 10_000;
/** How long (ms) a response may lag behind another request's text. A reader of saved text checks every 2 s. */
const LAG_MS = 2500;
/** A request without any news for this long (ms) is abandoned. A long-poll is answered after 20 s. */
const ABANDONED_MS = 30_000;
/** The least time (ms) between two long-polls. */
const POLL_MS = 500;
/** Why long-polls are used: a response has no body, or none before it is complete. */
const UNREADABLE = "cannot be read in pieces on this platform";
/**
 * When a page or a network is back, a connection that was silent for this long (ms)
 * counts as dead.
 */
const DEAD_MS = 1000;
/** Consecutive failures after which a warning is logged: the URL or CORS may be wrong. */
const LOSSES_TO_TELL = 3;
/** The wait (ms) before a lost request is repeated: first, and at most. */
const FIRST_RETRY_MS = 1000;
const LONGEST_RETRY_MS = 10_000;

/** Options of `readStream`. */
export interface ReadStreamOptions {
  /** The stream. It goes into the URL, as `streamId`. */
  streamId: string;
  /**
   * Starts the stream: POSTs `{"streamId": …}` as JSON and reads the response as it is
   * written. If the response ends early, GET fetches the rest.
   *
   * - `true`: both requests go to the same URL, as with `registerRoutes`.
   * - `"auto"`: like `true`, but only if the stream has no writer yet, which is checked
   *   first.
   * - A URL: the URL of the HTTP action that returns `streaming.stream(…)`.
   */
  drive?: URL | string | boolean | undefined;
  /** Further fields of the POST's JSON. */
  body?: Record<string, unknown> | undefined;
  /** The offset to start at (UTF-16 code units). Default: 0. */
  from?: number | undefined;
  /** Start with this much text from the end (UTF-16 code units), instead of at an offset. */
  tail?: number | undefined;
  /** Ends the reading. Its reason is thrown while iterating. */
  signal?: AbortSignal | undefined;
  /** Added to each request. A function is called for each request, so that tokens stay fresh. */
  headers?: ValueOrFunction<HeaderValues | undefined> | undefined;
  /** Makes the requests. Default: the platform's `fetch`. */
  fetch?: Fetch | undefined;
}

/**
 * The text of a stream, read over HTTP. It yields each character once, even if
 * connections break. Iterating again continues where it stopped.
 */
export interface StreamText extends AsyncGenerator<string, void> {
  /** The end of the text read so far (UTF-16 code units). Start here another time. */
  readonly offset: number;
  /**
   * `pending` before there is text, `streaming` while there is more to read, then the
   * final status.
   */
  readonly status: StreamStatus;
  /**
   * Why the stream ended early: `kind`, `message`, and the `data` of a `ConvexError`
   * that the writer threw. Undefined until then.
   */
  readonly error?: StreamError | undefined;
}

/** Implements `readStream`. */
export function streamText(
  url: URL | string,
  options: ReadStreamOptions,
): StreamText {
  const reading = new Reading(url, options);
  let pieces: AsyncGenerator<string, void> | null = null;
  // A generator, not a class with `[Symbol.asyncIterator]`, because React Native's
  // engine lacks that symbol, and compiled code uses another name for it.
  const text = (async function* (): AsyncGenerator<string, void> {})();
  const end = async (value?: unknown) => {
    const left = pieces;
    pieces = null;
    // A waiting generator notices its end only when what it waits for has arrived.
    reading.leave();
    await left?.return();
    return { done: true, value };
  };
  return Object.defineProperties(text, {
    offset: { get: () => reading.offset, enumerable: true },
    status: { get: () => reading.status, enumerable: true },
    error: { get: () => reading.error, enumerable: true },
    next: {
      value: async () => {
        const current = (pieces ??= reading.read());
        let result: IteratorResult<string, void> | undefined;
        try {
          return (result = await current.next());
        } finally {
          if (result?.done !== false && pieces === current) pieces = null;
        }
      },
    },
    return: { value: end },
    throw: {
      value: async (error: unknown) => {
        await end();
        throw error;
      },
    },
  }) as StreamText;
}

/** The kinds of requests for text. */
type Way =
  /** POST: the first one starts the writer. */
  | "drive"
  /** HEAD: whether it has a writer. */
  | "look"
  /** GET: a response that lasts until the stream ends. */
  | "follow"
  /** GET: a response that ends as soon as there is text. */
  | "poll";

/** The result of an attempt to continue. `again`: try the next one at once. */
type Outcome = "again" | "ended" | "unwritten" | { lost: unknown };

/** The state of a reading. */
class Reading {
  offset: number;
  status: StreamStatus = "pending";
  error: StreamError | undefined;
  private readonly url: string;
  /** The URL that drives the stream; null once it has responded. */
  private drive: string | null;
  /** Whether to check the stream before it is first driven. */
  private readonly looksFirst: boolean;
  /** How much of the end is requested; null once its offset is known. */
  private tail: number | null;
  /** Whether responses cannot be read in pieces here. */
  private polls = false;
  /** The offset of a long-poll whose text may have lost its last character. */
  private shortAt = -1;
  private left = new AbortController();
  /** Ends the current wait. */
  private resting = new AbortController();
  /** When (ms) a request was made or last brought something. */
  private newsAt = 0;

  constructor(
    url: URL | string,
    private readonly options: ReadStreamOptions,
  ) {
    const { streamId, drive, from = 0, tail } = options;
    if (typeof streamId !== "string" || streamId === "") {
      throw new TypeError(
        `readStream needs the id of a stream; streamId is ${JSON.stringify(streamId)}.`,
      );
    }
    if (!isOffset(from)) {
      throw new TypeError(
        `from must be an offset into the text, a whole number of 0 or more (UTF-16 code units); it is ${from}.`,
      );
    }
    if (tail !== undefined && (!isOffset(tail) || options.from !== undefined)) {
      throw new TypeError(
        `tail must be a whole number of 0 or more (UTF-16 code units), without \`from\`; it is ${tail}.`,
      );
    }
    this.url = urlOf(url);
    const drives = drive !== undefined && drive !== false;
    const drivesHere = drive === true || drive === "auto";
    this.drive = drives ? urlOf(drivesHere ? url : drive) : null;
    this.looksFirst = drive === "auto";
    this.offset = from;
    this.tail = tail ?? null;
    // React Native's `fetch` resolves when everything has arrived, and then has no
    // body.
    const isWhole = !("body" in Response.prototype);
    if (isWhole && options.fetch === undefined) this.poll(UNREADABLE);
  }

  /** Ends a reading in progress. */
  leave(): void {
    this.left.abort();
    this.resting.abort();
  }

  private async rest(time: number): Promise<void> {
    this.resting = new AbortController();
    if (!this.left.signal.aborted) await pause(time, this.resting.signal);
  }

  /** Reads piece by piece, to the end of the stream. */
  async *read(): AsyncGenerator<string, void> {
    const { signal } = this.options;
    const { signal: left } = (this.left = new AbortController());
    const inbox = new Inbox();
    const leave = () => {
      this.leave();
      inbox.close();
    };
    left.addEventListener("abort", leave);
    signal?.addEventListener("abort", leave);
    if (signal?.aborted) leave();
    const wake = () => {
      if (typeof document !== "undefined" && document.hidden) return;
      this.resting.abort();
      if (now() - this.newsAt > DEAD_MS) inbox.interrupt();
    };
    listenForWakes(wake, true);
    let losses = 0;
    let looks = this.looksFirst;
    try {
      while (!isFinal(this.status) && !left.aborted) {
        const { offset, drive } = this;
        const way: Way =
          drive === null
            ? this.polls
              ? "poll"
              : "follow"
            : looks
              ? "look"
              : "drive";
        const startedAt = now();
        const outcome = yield* this.attempt(way, inbox);
        if (left.aborted || isFinal(this.status)) break;
        if (way === "poll") await this.rest(startedAt + POLL_MS - now());
        if (this.drive !== drive || outcome === "again") continue;
        // A lost request to drive may have arrived anyway, so the stream is checked
        // before it is sent again.
        looks = outcome !== "unwritten";
        if (!looks) continue;
        losses = this.offset > offset ? 0 : losses + 1;
        if (losses === LOSSES_TO_TELL && typeof outcome === "object") {
          console.warn("A stream cannot be read. Trying again:", outcome.lost);
        }
        if (losses > 0) {
          const wait = backOff(losses, FIRST_RETRY_MS, LONGEST_RETRY_MS);
          await this.rest(waitAfter(outcome) ?? wait);
        }
      }
    } finally {
      listenForWakes(wake, false);
      signal?.removeEventListener("abort", leave);
      leave();
    }
    throwIfAborted(signal);
  }

  /**
   * Makes one request, and yields the new part of the text that it brings.
   *
   * A connection may die silently, or something may hold its text back. So during a
   * silence a long-poll runs alongside, which returns saved text at once. A response
   * that stays silent after that is abandoned.
   */
  private async *attempt(
    way: Way,
    inbox: Inbox,
  ): AsyncGenerator<string, Outcome> {
    const openedAt = (this.newsAt = now());
    const main = this.open(way, inbox);
    let probe: Leg | null = null;
    let canProbe = way === "drive" || way === "follow";
    let probed = false;
    /** Since when (ms) the probe has had text that this response has not. */
    let lagsSince: number | null = null;
    let isCrowded = false;
    let stopGivingWay = () => {};
    /** How long to wait for a head. The request may never have arrived. */
    const untilLate = () =>
      main.answer === null ? openedAt + ABANDONED_MS - now() : Infinity;
    const patience = () => {
      if (lagsSince !== null) return lagsSince + LAG_MS - now();
      if (probe !== null || !canProbe) return ABANDONED_MS;
      if (main.spoke) return SILENCE_MS;
      if (this.polls) return 0;
      return probed && main.answer !== null ? SILENCE_MS : HELD_BACK_MS;
    };
    try {
      for (;;) {
        if (isCrowded) return "again";
        if (lagsSince !== null && (this.polls || patience() <= 0)) {
          if (!main.spoke) this.poll("is held back on its way");
          return "again";
        }
        const event = await inbox.take(Math.min(patience(), untilLate()));
        this.newsAt = now();
        if (event === "closed") return "ended";
        if (event === "interrupted") {
          if (way === "poll") return "again";
          const mayProbe = canProbe && this.tail === null && !isCrowded;
          if (mayProbe) {
            // An earlier one may be dead too.
            probe?.close();
            probe = this.open("poll", inbox);
          }
          continue;
        }
        if (event === "silence") {
          if (lagsSince !== null) continue;
          if (probe !== null || !canProbe || untilLate() <= 0) {
            return { lost: new Error("The request got no response.") };
          }
          if (way === "follow" && this.tail !== null) {
            // Two requests would not start at the same offset.
            this.poll("is held back on its way");
            return "again";
          }
          probe = this.open("poll", inbox);
          continue;
        }

        const { leg } = event;
        if (leg !== main && leg !== probe) continue;
        switch (event.type) {
          case "head":
            if (leg === probe) break;
            if (way === "look" && event.answer.status === "pending") {
              // It has no writer yet, so the request to start it is sent (again).
              return "unwritten";
            }
            this.drive = null;
            if (way === "look") return "again";
            if (way === "follow") {
              stopGivingWay = giveWay(() => {
                isCrowded = true;
                inbox.interrupt();
              });
            }
            if (this.tail !== null && (way !== "drive" || event.hasText)) {
              this.offset = event.answer.start;
              this.tail = null;
            }
            break;

          case "text": {
            const text = continuation(this.offset, leg.at, event.text);
            if (text === null) {
              throw new ReadStreamError(
                `The text was requested from offset ${this.offset}, but starts at ${leg.at}.`,
                200,
              );
            }
            leg.at += event.text.length;
            leg.spoke = true;
            if (leg === main) {
              lagsSince = null;
              probe?.close();
              probe = null;
            } else if (text !== "") {
              lagsSince ??= now();
              this.drive = null;
            }
            if (text === "") break;
            this.offset = leg.at;
            this.tail = null;
            this.status = "streaming";
            yield text;
            break;
          }

          case "unreadable":
            this.poll(UNREADABLE);
            return "again";

          case "end":
            if (event.answer.isEnd && this.offset >= event.answer.next) {
              this.status = event.answer.status;
              this.error = event.answer.error;
              return "ended";
            }
            if (leg === main) {
              return way === "poll" && !leg.spoke ? "again" : "ended";
            }
            // Text that is held back is read with one long-poll after another.
            probe = lagsSince === null ? null : this.open("poll", inbox);
            probed = true;
            break;

          case "failed":
            if (leg === main) {
              if (event.isFinal) throw event.error;
              return { lost: event.error };
            }
            // While the response flows, no other request is needed.
            if (event.isFinal) canProbe = false;
            probe = null;
            probed = true;
            break;
        }
      }
    } finally {
      stopGivingWay();
      main.close();
      probe?.close();
    }
  }

  /** Switches to long-polls, and reports that once. */
  private poll(why: string): void {
    if (this.polls) return;
    this.polls = true;
    console.warn(
      `The response that brings a stream ${why}, so its text now arrives by long-polls: as it is saved, with one request per piece.`,
    );
  }

  /**
   * The text of a long-poll. `text()` removes a U+FEFF at its beginning, but a
   * connection may also lose the last character, or end inside it, which `text()`
   * shows as U+FFFD. So the first time the text is one short or ends with U+FFFD, it
   * is requested again.
   */
  private whole(text: string, { start, next }: Answer): string {
    const missing = next - start - text.length;
    const isClipped =
      missing === 1 || (missing === 0 && text.endsWith("\uFFFD"));
    if (isClipped && this.shortAt !== start) this.shortAt = start;
    else if (missing === 0) return text;
    else if (missing === 1) return `\uFEFF${text}`;
    // Cut short, or too long, as from a `fetch` that decodes UTF-8 as Latin-1.
    throw new Error(
      `A response with ${next - start} code units of text arrived damaged, with ${text.length}.`,
    );
  }

  private open(way: Way, inbox: Inbox): Leg {
    const leg = new Leg(way, this.offset);
    const { streamId, body } = this.options;
    const start: Record<string, string> =
      this.tail !== null && this.drive === null
        ? { [wire.tail]: String(this.tail) }
        : { [wire.offset]: formatOffset(this.offset) };
    const url =
      way === "drive"
        ? (this.drive ?? this.url)
        : withQuery(this.url, {
            [wire.streamId]: streamId,
            ...start,
            ...(way === "poll" && { [wire.live]: "long-poll" }),
          });
    void leg.run(
      inbox,
      url,
      way === "drive"
        ? { method: "POST", body: JSON.stringify({ ...body, streamId }) }
        : way === "look"
          ? { method: "HEAD" }
          : {},
      this.options,
      (text, answer) => this.whole(text, answer),
    );
    return leg;
  }
}

/** How long (ms) the server says to wait. */
function waitAfter(outcome: Outcome): number | null {
  if (typeof outcome !== "object") return null;
  const { lost } = outcome;
  return lost instanceof UnavailableError ? lost.retryAfter : null;
}

/** One request and its response. */
class Leg {
  answer: Answer | null = null;
  /** Whether text arrived. */
  spoke = false;
  private readonly controller = new AbortController();

  constructor(
    private readonly way: Way,
    /** The offset of the next text. */
    public at: number,
  ) {}

  close(): void {
    this.controller.abort();
  }

  /** Makes the request and reports its events. Never rejects. */
  async run(
    inbox: Inbox,
    url: string,
    init: RequestInit,
    options: ReadStreamOptions,
    whole: (text: string, answer: Answer) => string,
  ): Promise<void> {
    const { signal } = this.controller;
    let isFinal = true;
    try {
      const headers = await headersOf(options);
      if (signal.aborted) return;
      if (init.body !== undefined) {
        headers.set("Content-Type", "application/json");
      }
      isFinal = false;
      const responding = (options.fetch ?? fetch)(url, {
        ...init,
        headers,
        signal,
      });
      const response = await (this.way === "drive"
        ? makeRoomUntil(responding, signal)
        : responding);
      if (signal.aborted) {
        // It arrived anyway.
        await response.body?.cancel();
        return;
      }
      const answer = await (this.way === "drive" ? driven : resumed)(response);
      this.answer = answer;
      const hasText = response.status === 200 && this.way !== "look";
      if (hasText) this.at = answer.start;
      await inbox.post({ leg: this, type: "head", answer, hasText });
      if (hasText && this.way === "poll") {
        const text = whole(await response.text(), answer);
        if (text !== "") await inbox.post({ leg: this, type: "text", text });
      } else if (hasText) {
        if (!response.body) {
          return void inbox.post({ leg: this, type: "unreadable" });
        }
        isFinal = typeof TextDecoder === "undefined";
        if (isFinal) {
          throw new Error(
            "This platform has no TextDecoder, which is needed to read a response in pieces. Load a polyfill for it.",
          );
        }
        for await (const text of textOf(response.body, signal)) {
          await inbox.post({ leg: this, type: "text", text });
        }
      }
      void inbox.post({ leg: this, type: "end", answer });
    } catch (error) {
      if (signal.aborted) return;
      isFinal ||= error instanceof ReadStreamError;
      void inbox.post({ leg: this, type: "failed", error, isFinal });
    }
  }
}

async function headersOf({ headers }: ReadStreamOptions): Promise<Headers> {
  const given = await valueOf(headers);
  try {
    return new Headers(given as HeadersInit | undefined);
  } catch {
    // Not the error itself, which may contain a token.
    throw new TypeError(
      "One of the headers for readStream() is invalid. Values may not contain line breaks or characters beyond U+00FF.",
    );
  }
}

type Event = { leg: Leg } & (
  | { type: "head"; answer: Answer; hasText: boolean }
  | { type: "text"; text: string }
  | { type: "unreadable" }
  | { type: "end"; answer: Answer }
  | { type: "failed"; error: unknown; isFinal: boolean }
);

/**
 * The events of requests, taken one by one. It can be closed while someone waits,
 * whatever the requests do.
 */
class Inbox {
  private readonly events: { event: Event; taken: () => void }[] = [];
  private wake: (() => void) | null = null;
  private isClosed = false;
  private isInterrupted = false;
  /**
   * At most one timer, set again when it runs out: on a deployment a cleared timer
   * still counts.
   */
  private timer: ReturnType<typeof setTimeout> | undefined;
  private timerEndsAt = 0;
  /** When (ms) the wait for an event ends; Infinity while no one waits. */
  private deadline = Infinity;

  /** Resolves when the event has been taken, so a response is read no faster than its text. */
  post(event: Event): Promise<void> {
    if (this.isClosed) return Promise.resolve();
    return new Promise((taken) => {
      this.events.push({ event, taken });
      this.wake?.();
    });
  }

  /** The next event, or none within this time (ms). */
  async take(
    patience: number,
  ): Promise<Event | "silence" | "interrupted" | "closed"> {
    this.isInterrupted = false;
    if (this.events.length === 0 && !this.isClosed) {
      this.deadline = now() + patience;
      this.setTimer(patience);
      await new Promise<void>((wake) => (this.wake = wake));
      this.wake = null;
      this.deadline = Infinity;
    }
    if (this.isClosed) return "closed";
    const next = this.events.shift();
    next?.taken();
    return next?.event ?? (this.isInterrupted ? "interrupted" : "silence");
  }

  /** Ends the wait for an event. */
  interrupt(): void {
    this.isInterrupted = true;
    this.wake?.();
  }

  private setTimer(time: number): void {
    if (this.timer !== undefined) {
      if (this.timerEndsAt <= this.deadline) return;
      clearTimeout(this.timer);
    }
    this.timerEndsAt = now() + time;
    this.timer = setTimeout(() => {
      this.timer = undefined;
      if (this.deadline === Infinity) return;
      const left = this.deadline - now();
      if (left > 0) this.setTimer(left);
      else this.wake?.();
    }, time);
  }

  close(): void {
    this.isClosed = true;
    clearTimeout(this.timer);
    for (const { taken } of this.events.splice(0)) taken();
    this.wake?.();
  }
}
