import type { ConvexReactClient, Watch } from "convex/react";
import { makeFunctionReference } from "convex/server";
import { retryDelay } from "../browser/request.js";
import { type StreamBody, type StreamPage, isFinal } from "../shared.js";
import { onNextFrame } from "./frame.js";
import { fetchText } from "./http.js";
import { Prefix } from "./prefix.js";

/** After so long (ms) without news over HTTP, the database is asked too: a dead connection may never say so. */
const PATIENCE = 5000;

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

/**
 * The request to the HTTP action:
 *
 * - `unsent`: to be made as soon as this reader drives.
 * - `asked`: made; no text has come yet.
 * - `flowing`: text comes.
 * - `silent`: open, but nothing has come for a while.
 * - `lost`: it got no answer, and is to be made again.
 * - `over`: there is nothing more to expect of it, for whatever reason.
 */
export type Http = "unsent" | "asked" | "flowing" | "silent" | "lost" | "over";

/** What to do with the subscription to the saved text. */
export function subscription(http: Http): "open" | "close" | "as it is" {
  switch (http) {
    case "asked":
      return "as it is";
    case "flowing":
      return "close";
    case "unsent":
    case "silent":
    case "lost":
    case "over":
      return "open";
  }
}

/** What becomes of the request when this reader no longer drives. Once text has come, it is not made again. */
export function withdrawn(http: Http, received: number): Http {
  switch (http) {
    case "unsent":
    case "asked":
    case "lost":
      return "unsent";
    case "flowing":
    case "over":
      return "over";
    case "silent":
      return received > 0 ? "over" : "unsent";
  }
}

/**
 * One reader of one stream: what `useStream` shows, without React.
 *
 * There are two sources, HTTP and the database, and one prefix that both
 * extend. Which of them is in use follows from the state, in `settle`. What is
 * shown changes with the next frame.
 */
export class StreamReader {
  private readonly prefix = new Prefix();
  private http: Http = "unsent";
  /** Ends the request. */
  private controller: AbortController | null = null;
  /** Belongs to the present state of the request. */
  private timer: ReturnType<typeof setTimeout> | undefined;
  /**
   * How much text came over HTTP (UTF-16 code units), and when the last news did
   * (ms, by a clock that nobody sets back: or silence might last for hours).
   */
  private received = 0;
  private newsAt = 0;
  private losses = 0;
  /** Ends the subscription to the saved text. */
  private unsubscribe: (() => void) | null = null;
  /** The offset to read the saved text from. */
  private position = 0;
  /** Whether the database has said anything yet. */
  private heard = false;
  private error: unknown;
  private shown: Shown;
  private readonly listeners = new Set<() => void>();
  private settling = false;
  private painting = false;

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
    this.shown = this.toShow();
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
    const { streamId } = this;
    if (streamId === undefined) return;
    const wanted = this.listeners.size > 0;
    const { request } = this.source;
    if (wanted && request !== null && !isFinal(this.prefix.status)) {
      if (this.http === "unsent") this.ask(streamId, request);
    } else {
      this.withdraw();
    }
    const then = wanted && !this.complete ? subscription(this.http) : "close";
    if (then === "open") this.follow(streamId);
    if (then === "close") this.stop();
  }

  /**
   * Whether the database has nothing to add. A stream that was aborted or timed
   * out may still get the last words of its writer; and a query that gives the
   * whole text may make something else of it at any time.
   */
  private get complete(): boolean {
    const { status } = this.prefix;
    return this.source.incremental && (status === "done" || status === "error");
  }

  // HTTP

  private enter(http: Http): void {
    clearTimeout(this.timer);
    this.http = http;
    switch (http) {
      case "asked":
      case "flowing":
        this.newsAt = performance.now();
        this.listenForSilence(PATIENCE);
        break;
      case "silent":
      case "over":
        // Who got text over HTTP asks the database for what comes after it. All
        // others ask from the same offsets, so that one answer serves them all.
        if (this.received > 0) this.position = this.prefix.length;
        break;
      case "lost":
        this.losses++;
        this.askAgain(retryDelay(this.losses));
        break;
    }
    this.settle();
  }

  private ask(
    streamId: string,
    { url, headers }: NonNullable<Source["request"]>,
  ): void {
    const controller = new AbortController();
    this.controller = controller;
    this.enter("asked");
    const init = () => ({
      method: "POST",
      body: JSON.stringify({ streamId }),
      headers: headers(),
      signal: controller.signal,
    });
    // What comes of a request that was withdrawn is old news.
    const current = () => this.controller === controller;
    void fetchText(url, init, (text) => {
      if (current()) this.receive(text);
    }).then((end) => {
      if (current()) this.enter(end);
    });
  }

  private withdraw(): void {
    const http = withdrawn(this.http, this.received);
    if (http === this.http) return;
    this.controller?.abort();
    this.controller = null;
    this.enter(http);
  }

  private receive(text: string): void {
    this.prefix.extend(this.received, text);
    this.received += text.length;
    this.newsAt = performance.now();
    if (this.http !== "flowing") this.enter("flowing");
    this.changed();
  }

  private listenForSilence(wait: number): void {
    this.timer = setTimeout(() => {
      const left = this.newsAt + PATIENCE - performance.now();
      if (left > 0) this.listenForSilence(left);
      else this.enter("silent");
    }, wait);
  }

  /**
   * A request that was lost on its way leaves a stream that nobody writes. If
   * the database says so, it is made again: the stream has one writer at most.
   */
  private askAgain(wait: number): void {
    this.timer = setTimeout(() => {
      if (!this.heard) this.askAgain(wait);
      else this.enter(this.prefix.status === "pending" ? "unsent" : "over");
    }, wait);
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
    if (this.unsubscribe !== null) return;
    const saved = this.saved(streamId);
    const look = () => {
      const asked = this.position;
      this.take(saved);
      this.changed();
      if (this.position !== asked) {
        this.stop();
        this.follow(streamId);
      }
    };
    try {
      this.unsubscribe = saved.onUpdate(look);
    } catch (error) {
      // The client has been closed.
      this.error = error;
      this.changed();
      return;
    }
    look();
  }

  private stop(): void {
    this.unsubscribe?.();
    this.unsubscribe = null;
  }

  /** Takes on what the database says, and with it from where to ask in future. */
  private take(saved: Watch<StreamBody | StreamPage>): void {
    try {
      const page = saved.localQueryResult();
      this.error = undefined;
      if (!page) return;
      this.heard = true;
      if (this.source.incremental) this.takePage(page);
      else this.prefix.replace(page.text);
      this.prefix.update(page.status);
      // It is not to be asked for again, but the last words of a writer that
      // was stopped from outside may still come.
      if (isFinal(page.status)) this.settleSoon();
    } catch (error) {
      this.error = error;
    }
  }

  private takePage(page: StreamBody | StreamPage): void {
    if ("from" in page) {
      this.prefix.extend(page.from, page.text);
      if (!isFinal(page.status)) {
        this.position = Math.max(this.position, page.next);
      }
    } else if (this.position === 0) {
      this.prefix.extend(0, page.text);
    } else {
      // A query that does not say where its text starts can only be asked for
      // all of it.
      this.position = 0;
    }
  }

  // What is shown

  private toShow(): Shown {
    const { text, status } = this.prefix;
    const body = { text, status };
    return this.error === undefined ? { body } : { body, error: this.error };
  }

  private changed(): void {
    if (this.painting) return;
    this.painting = true;
    onNextFrame(() => {
      this.painting = false;
      const now = this.toShow();
      if (
        now.body.text === this.shown.body.text &&
        now.body.status === this.shown.body.status &&
        now.error === this.shown.error
      ) {
        return;
      }
      this.shown = now;
      for (const listener of this.listeners) listener();
    });
  }
}
