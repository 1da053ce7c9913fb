import type { ConvexReactClient, Watch } from "convex/react";
import { makeFunctionReference } from "convex/server";
import {
  isComplete,
  isFinal,
  type StreamBody,
  type StreamPage,
} from "../shared.js";
import { onNextFrame } from "./frame.js";
import { fetchText } from "./http.js";
import { Prefix } from "./prefix.js";

/** After so long (ms) without news over HTTP, the database is asked too: a dead connection may never say so. */
const PATIENCE = 5000;
/** A request that got no answer is repeated after so long (ms), doubling, while the saved status is still `pending`. */
const RETRY_DELAY = 1000;
const RETRIES = 5;

/** Where to read a stream, in values: a render that says the same changes nothing. */
export interface Source {
  /** The name of the app's query, and whether to ask it from an offset on. */
  query: string;
  incremental: boolean;
  /** How to ask the HTTP action; null if another session does. */
  request: { url: string; headers: () => Headers } | null;
}

/** What the hook shows; `error` is what the query threw. */
export type Shown = { body: StreamBody; error?: unknown };

/** The request to the HTTP action. Once any text has come of it, it is not made again. */
type Http =
  | { is: "unsent" }
  | { is: "open"; controller: AbortController }
  | { is: "over" };

/**
 * One reader of one stream: what `useStream` shows, without React.
 *
 * There are two sources, HTTP and the database, and one prefix that both
 * extend. Which of them is in use follows from the state, in `settle`. What is
 * shown changes with the next frame.
 */
export class StreamReader {
  private readonly prefix = new Prefix();
  private http: Http = { is: "unsent" };
  /** How much text came over HTTP (UTF-16 code units), and when the last of it did (ms). */
  private received = 0;
  private receivedAt = 0;
  private stalled = false;
  private retries = 0;
  /** Ends the subscription to the saved text. */
  private unfollow: (() => void) | null = null;
  /** The offset to read the saved text from. */
  private position = 0;
  /** Whether the database has said anything yet. */
  private heard = false;
  private error: unknown;
  private shown: Shown;
  private readonly listeners = new Set<() => void>();
  private settling = false;
  private painting = false;
  private timer: ReturnType<typeof setTimeout> | undefined;

  constructor(
    readonly client: Pick<ConvexReactClient, "watchQuery">,
    /** Undefined: there is nothing to read yet. */
    readonly streamId: string | undefined,
    private source: Source,
  ) {
    // Another component may have the text already; then there is no reason to
    // show nothing first. Nothing is asked: React may throw this reader away.
    if (streamId !== undefined) this.take(this.saved(streamId));
    this.error = undefined;
    this.shown = { body: this.prefix.body };
  }

  /** For `useSyncExternalStore`: the reader is at work while somebody listens. */
  readonly subscribe = (listener: () => void): (() => void) => {
    this.listeners.add(listener);
    this.settleSoon();
    return () => {
      this.listeners.delete(listener);
      this.settleSoon();
    };
  };

  /** For `useSyncExternalStore`: what to show, the same object until it changes. */
  readonly getShown = (): Shown => this.shown;

  /** Says where to read from now on. What has been read stays. */
  update(source: Source): void {
    const { query, incremental, request } = this.source;
    this.source = source;
    if (query !== source.query || incremental !== source.incremental) {
      this.stop();
      this.settleSoon();
    }
    if ((request === null) !== (source.request === null)) this.settleSoon();
  }

  /**
   * Not at once: StrictMode mounts, unmounts and mounts again in one go, and
   * must send one request. What counts is how things stand after that.
   */
  private settleSoon(): void {
    if (this.settling) return;
    this.settling = true;
    void Promise.resolve().then(() => {
      this.settling = false;
      this.settle();
    });
  }

  /** Opens and closes the two sources as the state asks for. */
  private settle(): void {
    const { streamId, prefix, source } = this;
    if (streamId === undefined) return;
    const wanted = this.listeners.size > 0;

    if (wanted && source.request !== null && !isFinal(prefix.status)) {
      if (this.http.is === "unsent") this.open(streamId, source.request);
    } else {
      this.close();
    }

    const complete = isComplete(prefix.status);
    const overHttp = this.http.is === "open" && !this.stalled;
    if (!wanted || complete || (overHttp && this.received > 0)) this.stop();
    else if (!overHttp) this.follow(streamId);
  }

  // HTTP

  private open(
    streamId: string,
    { url, headers }: NonNullable<Source["request"]>,
  ): void {
    const controller = new AbortController();
    const open: Http = { is: "open", controller };
    this.http = open;
    const init = {
      method: "POST",
      body: JSON.stringify({ streamId }),
      headers: headers(),
      signal: controller.signal,
    };
    this.watchForSilence();
    void fetchText(url, init, (text) => {
      if (this.http === open) this.receive(text);
    }).then((end) => {
      if (this.http !== open) return; // It was closed from here.
      this.http = { is: "over" };
      clearTimeout(this.timer);
      this.goOnFromHere();
      if (end === "unanswered") this.retryLater();
      this.settle();
    });
  }

  private close(): void {
    clearTimeout(this.timer);
    if (this.http.is !== "open") return;
    this.http.controller.abort();
    this.http = this.received > 0 ? { is: "over" } : { is: "unsent" };
    this.goOnFromHere();
  }

  /**
   * Who got text over HTTP asks the database for what comes after it. All
   * others ask from the same offsets, so that one answer serves them all.
   */
  private goOnFromHere(): void {
    if (this.received > 0) this.position = this.prefix.text.length;
  }

  private receive(text: string): void {
    this.prefix.extend(this.received, text);
    this.received += text.length;
    this.receivedAt = Date.now();
    if (this.stalled) this.watchForSilence();
    this.settle();
    this.changed();
  }

  private watchForSilence(): void {
    this.stalled = false;
    this.receivedAt = Date.now();
    const look = (wait: number) => {
      this.timer = setTimeout(() => {
        const left = this.receivedAt + PATIENCE - Date.now();
        if (left > 0) return look(left);
        this.stalled = true;
        this.goOnFromHere();
        this.settle();
      }, wait);
    };
    look(PATIENCE);
  }

  /**
   * A request that was lost on its way leaves a stream that nobody writes. If
   * the database says so, it is made again: the stream has one writer at most.
   */
  private retryLater(): void {
    if (this.retries === RETRIES) return;
    this.timer = setTimeout(
      () => {
        if (!this.heard) return this.retryLater(); // No connection yet.
        if (this.prefix.status !== "pending" || this.http.is !== "over") return;
        this.retries++;
        this.http = { is: "unsent" };
        this.settle();
      },
      RETRY_DELAY * 2 ** this.retries,
    );
  }

  // The database

  private saved(streamId: string): Watch<StreamBody | StreamPage> {
    const { query, incremental } = this.source;
    return this.client.watchQuery(
      makeFunctionReference<
        "query",
        { streamId: string; from?: number },
        StreamBody | StreamPage
      >(query),
      incremental ? { streamId, from: this.position } : { streamId },
    );
  }

  private follow(streamId: string): void {
    if (this.unfollow !== null) return;
    const saved = this.saved(streamId);
    const look = () => {
      const moved = this.take(saved);
      this.changed();
      if (moved) {
        this.stop();
        this.follow(streamId);
      }
      this.settleSoon();
    };
    this.unfollow = saved.onUpdate(look);
    look();
  }

  private stop(): void {
    this.unfollow?.();
    this.unfollow = null;
  }

  /** Takes on what the database says. Returns whether to ask from another offset. */
  private take(saved: Watch<StreamBody | StreamPage>): boolean {
    let page: StreamBody | StreamPage | undefined;
    try {
      page = saved.localQueryResult();
    } catch (error) {
      this.error = error;
      return false;
    }
    this.error = undefined;
    if (page === undefined) return false;
    this.heard = true;
    this.prefix.extend("from" in page ? page.from : 0, page.text);
    this.prefix.update(page.status);
    if (!("next" in page) || isFinal(page.status)) return false;
    if (page.next <= this.position) return false;
    this.position = page.next;
    return true;
  }

  // What is shown

  private changed(): void {
    if (this.painting) return;
    this.painting = true;
    onNextFrame(() => {
      this.painting = false;
      const { body } = this.prefix;
      const { error } = this;
      if (
        body.text === this.shown.body.text &&
        body.status === this.shown.body.status &&
        error === this.shown.error
      ) {
        return;
      }
      this.shown = error === undefined ? { body } : { body, error };
      for (const listener of this.listeners) listener();
    });
  }
}
