import { type StreamStatus, isFinal } from "../shared.js";
import { advice, type Suspicion } from "./advice.js";
import { nameSource } from "./lines.js";
import { onNextFrame } from "./pace.js";
import {
  headersKey,
  mayChangeUnseen,
  post,
  requestHeaders,
  retryWait,
  type PostEnd,
  type PostOptions,
  type Trouble,
} from "./post.js";
import { Prefix } from "./prefix.js";
import { listenForWakes } from "./request.js";

/** A connection that has brought nothing for this long is not waited for: the database is asked too. Longer after each false alarm. */
const QUIET_MS = 1000;
const LONGEST_QUIET_MS = 15_000;
/** After HTTP has ended cleanly, the database has this long to say how the stream ended. */
const LAST_WORD_MS = 4000;
/** A reader that nobody shows is kept for this long: a route or a virtual list may bring it back. */
const LINGER_MS = 5000;
/** How many such readers are kept for each client, and of how many streams it is known that they were asked for. */
const LINGERING = 50;
const REMEMBERED = 1000;
/** How much of the end of HTTP's text (UTF-16 code units) is compared with the database's. */
const OVERLAP = 1024;
/** In development, a stream that nobody starts for this long is reported. */
const UNCLAIMED_MS = 10_000;
/** In development, text that HTTP does not bring for this long while the database has it is reported. */
const HELD_BACK_MS = 3000;
/** Wakes that come quicker than this do not repeat a request. */
const WAKE_MS = 250;

/** Replaced by bundlers. Absent in a browser without one. */
declare const process: { env: { NODE_ENV?: string } };

/** Why a stream ended in `error`, or why HTTP refused it. */
export interface StreamProblem {
  /** What kind of error it is, such as `WriterFailed` or `Refused`. */
  kind: string;
  /** A sentence about it. */
  message: string;
  /** What the writer's own `ConvexError` contained. */
  data?: unknown;
  /** The status of the HTTP answer. */
  status?: number;
}

/** What a reader has of a stream: a new object with each change. */
export interface Snapshot {
  /** The text so far. */
  text: string;
  /** What the stream is up to. */
  status: StreamStatus;
  /** Whether nothing is known of the stream yet. */
  isLoading: boolean;
  /** Why the stream ended in `error`, or why the HTTP action refused to write it. */
  error?: StreamProblem;
  /** Asks again, after the request was refused or has failed. */
  retry: () => void;
}

/** A snapshot, or what the app's query threw instead. */
export interface View {
  snapshot: Snapshot;
  thrown: { error: unknown } | null;
}

/** What the app's query returns: what `getStreamBody` does, and fields of its own. */
export interface QueryResult {
  /** The text, from `from` on if there is one. */
  text: string;
  /** What the stream is up to. */
  status: StreamStatus;
  /** The offset at which the text starts. */
  from?: number;
  /** The offset to ask from in future. */
  next?: number;
  /** Whether somebody writes the stream. */
  claimed?: boolean;
  /** Why it ended in `error`. */
  error?: StreamProblem | undefined;
}

/** Where to read a stream from. A source that says the same in other objects changes nothing. */
export interface Source extends Omit<PostOptions, "url"> {
  /** A reference to the app's query. */
  query: unknown;
  /** Undefined, null and `""`: there is no stream yet. */
  streamId: string | null | undefined;
  /** Of the HTTP action; null if it is not to be asked. */
  url: string | null;
  /** Whether to ask the HTTP action: at once, or when the database says that nobody writes the stream. */
  driven: boolean | "auto";
  incremental: boolean;
  tail: number | undefined;
  args: Record<string, unknown> | undefined;
  initial: QueryResult | null | undefined;
}

interface DatabaseWatch {
  onUpdate(listener: () => void): () => void;
  localQueryResult(): unknown;
}

/** `ConvexReactClient`, or `ConvexClient`. */
export type Client =
  | { watchQuery(query: never, args: never): DatabaseWatch }
  | {
      onUpdate(
        query: never,
        args: never,
        onResult: (result: never) => unknown,
        onError: (error: Error) => unknown,
      ): () => void;
    };

/**
 * The request to the HTTP action:
 *
 * - `unsent`: made as soon as somebody drives and the stream has not begun.
 * - `quiet`: open, but nothing comes, or has not for a while.
 * - `flowing`: text comes.
 * - `waiting`: it failed, and will be made again.
 * - `refused`: made again on `retry()`, and when its headers change.
 * - `over`: there is nothing more to expect of it.
 */
type Http = "unsent" | "quiet" | "flowing" | "waiting" | "refused" | "over";

/** One component, or one `watchStream`, that shows what a reader has. */
export interface Watcher {
  /** What it wants to read; null if it has not said so yet. */
  source: Source | null;
  onChange: () => void;
}

/**
 * Reads one stream, for everybody on the page who shows it.
 *
 * There are two sources, HTTP and the database, and one prefix that both
 * extend. Which of them is in use follows from the state, in `settle`. What is
 * shown changes with one of the next frames.
 */
export class StreamReader {
  /** Under which it is found by others who want the same. */
  readonly key: string;
  private readonly identity: string;
  private readonly prefix: Prefix = new Prefix();
  private readonly watchers = new Set<Watcher>();
  /** What to show: the same object until it changes. */
  view: View;

  private http: Http = "unsent";
  /** Ends the request. */
  private controller: AbortController | null = null;
  /** Whether to ask without waiting for the database. What was wanted once stays wanted. */
  private isDriven = false;
  /** How much text HTTP has brought (UTF-16 code units), and when it last did (ms, by a clock that nobody sets back). */
  private received = 0;
  private newsAt = 0;
  private askedAt = 0;
  private quietMs = QUIET_MS;
  private losses = 0;
  /** The headers and the URL of the last request, to see when they change. */
  private sent = "";
  private refusal: Extract<PostEnd, { then: "refused" }> | null = null;
  /** Whether HTTP ended cleanly, and the database said nothing after that. */
  private isTakenAsDone = false;
  /** Belongs to the present state of the request. */
  private timer: ReturnType<typeof setTimeout> | undefined;

  /** Ends the subscription. */
  private unsubscribe: (() => void) | null = null;
  /** The offset to read from in future; null before the first answer. */
  private position: number | null = null;
  /** The newest result, and whether it is the present subscription's. Null: there is none, or it was null. */
  private result: QueryResult | null = null;
  private isAnswered = false;
  private failure: { error: unknown } | null = null;
  /** Whether the text before the newest page may be another one than the database's. */
  private isInDoubt = false;
  private isLoading = true;

  private isSettling = false;
  private lingering: ReturnType<typeof setTimeout> | undefined;
  private unclaimed: ReturnType<typeof setTimeout> | undefined;
  private cancelUpdate: (() => void) | null = null;
  private readonly reported = new Set<string>();

  /**
   * Asks for nothing yet: React may throw away a reader that it has just made.
   *
   * @param before The reader that was shown so far. If it reads the same stream by
   *   other means, what it has stays.
   */
  constructor(
    readonly client: Client,
    private source: Source,
    before?: StreamReader,
  ) {
    this.identity = identityOf(source);
    this.key = keyOf(source);
    if (before && before.source.streamId === source.streamId) {
      this.prefix = before.prefix.copy();
      if (before.http !== "unsent") this.http = "over";
    }
    this.isLoading = Boolean(source.streamId) && this.prefix.text === "";
    if (source.streamId) {
      if (source.initial) this.take(source.initial);
      // Another component may have the text already; then it is shown at once.
      try {
        this.take(this.watch().localQueryResult());
      } catch {
        // It is thrown when it is asked for.
      }
      this.isAnswered = false;
    }
    this.view = { snapshot: this.toSnapshot(), thrown: null };
  }

  /** Whether this reader reads what a source says, whatever its URL and its headers. */
  reads(client: Client, source: Source): boolean {
    return this.client === client && this.identity === identityOf(source);
  }

  add(watcher: Watcher): void {
    clearTimeout(this.lingering);
    if (this.watchers.size === 0) listenForWakes(this.wake, true);
    this.watchers.add(watcher);
  }

  /** It is kept for a while. */
  remove(watcher: Watcher): void {
    if (!this.watchers.delete(watcher) || this.watchers.size > 0) return;
    listenForWakes(this.wake, false);
    clearTimeout(this.unclaimed);
    this.lingering = setTimeout(() => this.close(), LINGER_MS);
    linger(this);
  }

  /** Takes on what a watcher says now. */
  update(watcher: Watcher, source: Source): void {
    watcher.source = source;
    const { driven, url } = source;
    if (driven === true && url !== null) this.isDriven = true;
    if (this.refusal?.mayChange && !mayChangeUnseen(source)) {
      void this.askIfChanged();
    }
    this.settleSoon();
  }

  /** Asks again, after a request was refused or has failed. */
  readonly retry = (): void => {
    this.losses = 0;
    this.refusal = null;
    recordOf(this.client).asked.delete(this.key);
    if (this.failure !== null) {
      this.failure = null;
      this.stop();
    }
    if (this.http !== "quiet" && this.http !== "flowing")
      this.setHttp("unsent");
    this.changed();
  };

  /** Ends all that is going on. What it has stays, and it goes on when somebody is added. */
  close(): void {
    clearTimeout(this.lingering);
    clearTimeout(this.timer);
    clearTimeout(this.unclaimed);
    this.abort();
    this.stop();
    this.cancelUpdate?.();
    this.cancelUpdate = null;
    forget(this);
  }

  /** Not at once: all effects of a commit count, and StrictMode's second mount. */
  private settleSoon(): void {
    if (this.isSettling) return;
    this.isSettling = true;
    void Promise.resolve().then(() => {
      this.isSettling = false;
      this.settle();
    });
  }

  /** Opens and closes the two sources as the state asks for. */
  private settle(): void {
    const { streamId } = this.source;
    // Where nobody is left, what is open stays open for a while.
    if (!streamId || this.watchers.size === 0) return;
    if (isFinal(this.prefix.status) || this.prefix.isOverruled) this.abort();
    if (this.isComplete || this.http === "flowing") this.stop();
    // Before HTTP: the database may say that nothing needs to be asked.
    else this.follow();
    if (this.http === "unsent" && this.mayAsk) this.ask(streamId);
    this.suspectNobodyWrites();
  }

  /**
   * Whether the database has nothing to add. A stream that was aborted or timed
   * out may still get the last words of its writer; and a query that gives the
   * whole text may make something else of it at any time.
   */
  private get isComplete(): boolean {
    const { status } = this.prefix;
    // A writer that still holds the stream may save its last words.
    if (!this.source.incremental || this.isInDoubt) return false;
    if (this.result?.claimed) return false;
    return status === "done" || status === "error";
  }

  // HTTP

  /** By what to ask: what the watcher says who drives; or who did, when the request was wanted. */
  private get asking(): (Source & { url: string }) | null {
    let found: Source | null = null;
    for (const { source } of this.watchers) {
      if (source === null || source.url === null) continue;
      if (source.driven !== false) found = source;
      else if (this.isDriven) found ??= source;
    }
    return found as (Source & { url: string }) | null;
  }

  private get mayAsk(): boolean {
    const { result } = this;
    if (this.prefix.status !== "pending" || this.refusal !== null) return false;
    if (result !== null) return result.status === "pending" && !result.claimed;
    // Nothing is known: it may have ended long ago.
    return this.isDriven && !recordOf(this.client).asked.has(this.key);
  }

  private setHttp(http: Http): void {
    clearTimeout(this.timer);
    this.http = http;
    // Who got text over HTTP asks the database for what comes after it, and for
    // the end of it, to see that both have the same. All others ask from the
    // same offsets, so that one answer serves them all.
    if ((http === "quiet" || http === "over") && this.received > 0) {
      const from = this.prefix.end - OVERLAP;
      this.position = Math.max(this.position ?? 0, from, 0);
    }
    this.settle();
  }

  private ask(streamId: string): void {
    const source = this.asking;
    if (source === null) return;
    const controller = new AbortController();
    this.controller = controller;
    this.askedAt = performance.now();
    this.setHttp("quiet");
    let offset = 0;
    // What comes of a request that was aborted is old news.
    const isCurrent = () => this.controller === controller;
    void post(streamId, source, controller.signal, {
      headers: (key) => {
        if (isCurrent()) this.sent = key + source.url;
      },
      head: (start) => {
        if (!isCurrent()) return;
        offset = start;
        this.isLoading = false;
        remember(this);
        this.changed();
      },
      text: (text) => {
        if (!isCurrent()) return;
        this.prefix.receive(offset, text);
        offset += text.length;
        this.onText(text.length);
      },
    }).then((end) => {
      if (!isCurrent()) return;
      this.controller = null;
      this.onEnd(end);
    });
  }

  private onText(length: number): void {
    // A pause that was none: the next one may be longer before the database is asked.
    if (this.http === "quiet" && this.received > 0) {
      this.quietMs = Math.min(2 * this.quietMs, LONGEST_QUIET_MS);
    }
    this.received += length;
    this.newsAt = performance.now();
    this.changed();
    if (this.http === "flowing") return;
    this.setHttp("flowing");
    this.listenForQuiet(this.quietMs);
  }

  private listenForQuiet(wait: number): void {
    this.timer = setTimeout(() => {
      const left = this.newsAt + this.quietMs - performance.now();
      if (left > 0) this.listenForQuiet(left);
      else this.setHttp("quiet");
    }, wait);
  }

  private onEnd(end: PostEnd): void {
    if (end.problem) {
      const { trouble, message } = end.problem;
      this.report(trouble, message, end.then === "refused");
    }
    switch (end.then) {
      case "over":
        remember(this);
        this.setHttp("over");
        if (end.clean) this.waitForLastWord();
        break;
      case "again":
        this.losses++;
        this.setHttp("waiting");
        this.wait(end.after);
        break;
      case "refused":
        this.refusal = end;
        this.isLoading = false;
        this.setHttp("refused");
        // Only calling a function tells whether it gives another token by now.
        if (end.mayChange && this.asking && mayChangeUnseen(this.asking)) {
          this.losses++;
          this.wait(null);
        }
        break;
    }
    this.changed();
  }

  private wait(time: number | null): void {
    this.timer = setTimeout(
      () => this.askAgain(),
      time ?? retryWait(this.losses, Math.random()),
    );
  }

  private askAgain(): void {
    if (this.http === "waiting") this.setHttp("unsent");
    else if (this.refusal !== null) void this.askIfChanged();
  }

  /** Repeats a request that was refused, if it would be another one now. */
  private async askIfChanged(): Promise<void> {
    const { asking, refusal } = this;
    if (asking === null || this.watchers.size === 0) return;
    let key = this.sent;
    try {
      key = headersKey(await requestHeaders(asking)) + asking.url;
    } catch {
      // There is no valid header yet.
    }
    if (this.refusal !== refusal) return;
    if (key !== this.sent) {
      this.refusal = null;
      this.setHttp("unsent");
      this.changed();
    } else if (mayChangeUnseen(asking)) {
      clearTimeout(this.timer);
      this.losses++;
      this.wait(null);
    }
  }

  /** The body has come to its end, which may also mean that the action has died. Only the database knows; but it may be out of reach. */
  private waitForLastWord(): void {
    this.timer = setTimeout(() => {
      if (this.isAnswered) return;
      this.isTakenAsDone = true;
      this.changed();
    }, LAST_WORD_MS);
  }

  private abort(): void {
    const { http } = this;
    this.controller?.abort();
    this.controller = null;
    clearTimeout(this.timer);
    const isSeen = this.received > 0 || isFinal(this.prefix.status);
    this.http = isSeen || http === "over" ? "over" : "unsent";
  }

  /** A network or a page that is back: what is waited for may come at once. */
  private readonly wake = (): void => {
    if (typeof document !== "undefined" && document.hidden) return;
    const now = performance.now();
    if (this.http === "flowing" && now - this.newsAt > QUIET_MS) {
      this.setHttp("quiet");
    }
    if (now - this.askedAt < WAKE_MS) return;
    if (this.http === "waiting" || this.http === "refused") {
      this.askedAt = now;
      this.askAgain();
    }
  };

  // The database

  private watch(): DatabaseWatch {
    const { query, streamId, incremental, tail } = this.source;
    const args: Record<string, unknown> = { ...this.source.args, streamId };
    if (incremental && (this.position !== null || tail === undefined)) {
      args.from = this.position ?? 0;
    } else if (tail !== undefined) {
      args.tail = tail;
    }
    return watchQuery(this.client, query, args);
  }

  private follow(): void {
    if (this.unsubscribe !== null) return;
    const watch = this.watch();
    const asked = this.position ?? 0;
    const onUpdate = () => {
      this.takeFrom(watch);
      if ((this.position ?? 0) !== asked) {
        this.stop();
        this.settleSoon();
      }
    };
    try {
      this.unsubscribe = watch.onUpdate(onUpdate);
    } catch (error) {
      // The client has been closed.
      this.fail(error);
      return;
    }
    onUpdate();
  }

  private stop(): void {
    this.unsubscribe?.();
    this.unsubscribe = null;
    this.isAnswered = false;
  }

  private takeFrom(watch: DatabaseWatch): void {
    let result: unknown;
    try {
      result = watch.localQueryResult();
    } catch (error) {
      this.fail(error);
      return;
    }
    if (result === undefined) return;
    this.failure = null;
    if (result === null && this.hasHttp) {
      this.report(
        "query null",
        `The query for stream ${this.source.streamId} answered null.`,
      );
    }
    this.take(result);
    this.changed();
    this.settleSoon();
  }

  private fail(error: unknown): void {
    this.failure = { error };
    this.isAnswered = false;
    // Settled first: this page may be about to ask over HTTP.
    void Promise.resolve().then(() => {
      if (this.failure?.error !== error || !this.hasHttp) return;
      const { streamId } = this.source;
      const message = `The query for stream ${streamId} failed: ${String(error)}`;
      this.report("query failed", message);
    });
    this.changed();
  }

  /** Takes on what the database says, and with it from where to ask in future. */
  private take(result: unknown): void {
    if (result === undefined) return;
    this.isLoading = false;
    this.isAnswered = result !== null;
    if (result === null) return;
    const page = result as QueryResult;
    this.suspect(page);
    this.result = page;
    const { text, from, status } = page;
    if (from !== undefined) {
      const isOther = this.prefix.save(from, text);
      // All that a writer appended is saved when its stream is done.
      const isShort = status === "done" && from + text.length < this.prefix.end;
      this.isInDoubt = from > 0 && (isOther || isShort || this.isInDoubt);
      if (this.isInDoubt) this.position = 0;
      else if (!isFinal(status) && page.next !== undefined) {
        this.position = Math.max(this.position ?? 0, page.next);
      }
    } else if (!this.source.incremental) {
      this.prefix.replace(text, status);
    } else if ((this.position ?? 0) === 0) {
      this.prefix.save(0, text);
    } else {
      // A query that does not say where its text starts can only be asked for
      // all of it.
      this.position = 0;
    }
    this.prefix.update(status);
  }

  // What is shown

  /** Whether text comes over HTTP, has come, or may yet come. */
  private get hasHttp(): boolean {
    const { http } = this;
    return (
      this.received > 0 ||
      http === "quiet" ||
      http === "flowing" ||
      http === "waiting"
    );
  }

  private toSnapshot(): Snapshot {
    const { text, source } = this.prefix;
    let { status } = this.prefix;
    if (this.isTakenAsDone && !isFinal(status)) status = "done";
    const { from: _, next: _n, claimed: _c, ...fields } = this.result ?? {};
    const { isLoading, retry } = this;
    const snapshot: Snapshot = { ...fields, text, status, isLoading, retry };
    if (this.refusal !== null && status === "pending") {
      const { message, status: code } = this.refusal.problem;
      snapshot.error = { kind: "Refused", message };
      if (code !== undefined) snapshot.error.status = code;
    }
    if (snapshot.error === undefined) delete snapshot.error;
    nameSource(snapshot, source);
    return snapshot;
  }

  private changed(): void {
    if (this.isTakenAsDone || isFinal(this.prefix.status)) {
      // The end is shown at once, whole.
      this.cancelUpdate?.();
      this.show();
    } else {
      this.cancelUpdate ??= onNextFrame(() => this.show());
    }
  }

  private show(): void {
    this.cancelUpdate = null;
    const thrown = this.hasHttp ? null : this.failure;
    const snapshot = this.toSnapshot();
    const { view } = this;
    const isChanged = !isSame(snapshot, view.snapshot);
    if (!isChanged && thrown?.error === view.thrown?.error) return;
    this.view = { snapshot: isChanged ? snapshot : view.snapshot, thrown };
    for (const { onChange } of [...this.watchers]) onChange();
  }

  // First aid

  /** Says once what is wrong. */
  private report(
    trouble: Trouble | Suspicion,
    message: string,
    isError = false,
  ): void {
    if (this.reported.has(trouble)) return;
    this.reported.add(trouble);
    let help = "";
    // Bundlers replace the expression, and leave the advice out in production.
    try {
      if (process.env.NODE_ENV !== "production") help = ` ${advice[trouble]}`;
    } catch {
      // There is no bundler, and no `process`.
    }
    console[isError ? "error" : "warn"](message + help);
  }

  /** In development, says what looks wrong in a result. */
  private suspect({ text, status, error }: QueryResult): void {
    try {
      if (process.env.NODE_ENV !== "production") {
        const { streamId } = this.source;
        const isFirst = this.result === null;
        if (isFirst && status === "error" && text === "" && !error) {
          this.report("unknown id", `There is no stream ${streamId}.`);
        }
        const asked = performance.now() - this.askedAt;
        const isHeldBack = text !== "" && this.received === 0;
        if (this.http === "quiet" && isHeldBack && asked > HELD_BACK_MS) {
          this.report("held back", `Stream ${streamId} does not arrive.`);
        }
      }
    } catch {
      // As above.
    }
  }

  /** In development, says that nobody starts the stream. */
  private suspectNobodyWrites(): void {
    try {
      if (process.env.NODE_ENV !== "production") {
        clearTimeout(this.unclaimed);
        const { result, asking } = this;
        if (asking !== null || result?.status !== "pending") return;
        if (result.claimed) return;
        const message = `Stream ${this.source.streamId} is pending.`;
        this.unclaimed = setTimeout(
          () => this.report("unclaimed", message),
          UNCLAIMED_MS,
        );
      }
    } catch {
      // As above.
    }
  }
}

/** Whether two snapshots show the same. */
function isSame(a: Snapshot, b: Snapshot): boolean {
  const values = a as unknown as Record<string, unknown>;
  const others = b as unknown as Record<string, unknown>;
  const names = Object.keys(values);
  return (
    names.length === Object.keys(others).length &&
    names.every((name) =>
      name === "error"
        ? JSON.stringify(values[name]) === JSON.stringify(others[name])
        : Object.is(values[name], others[name]),
    )
  );
}

/** What a source reads, in words. */
function identityOf(source: Source): string {
  const { query, streamId, incremental, tail, args } = source;
  const name =
    (query as Record<symbol, string> | null)?.[Symbol.for("functionName")] ??
    String(query);
  return JSON.stringify(
    [name, streamId, incremental, tail, args],
    (_, value) =>
      typeof value === "bigint" ? String(value) : (value as unknown),
  );
}

function keyOf(source: Source): string {
  return `${identityOf(source)} ${source.url}`;
}

/** A subscription by either of Convex's clients. */
function watchQuery(
  client: Client,
  query: unknown,
  args: Record<string, unknown>,
): DatabaseWatch {
  if ("watchQuery" in client) {
    return client.watchQuery(query as never, args as never);
  }
  let result: unknown;
  let failure: { error: unknown } | null = null;
  return {
    onUpdate: (listener) =>
      client.onUpdate(
        query as never,
        args as never,
        (value) => {
          failure = null;
          result = value;
          listener();
        },
        (error) => {
          failure = { error };
          listener();
        },
      ),
    localQueryResult: () => {
      if (failure !== null) throw failure.error;
      return result;
    },
  };
}

/** What is kept for each client. */
interface Kept {
  readers: Map<string, StreamReader>;
  /** Those that nobody shows any more, in the order in which they were left. */
  lingering: Set<StreamReader>;
  /** The streams that have been asked for, so that mounting a finished one again makes no request. */
  asked: Set<string>;
}
const kept = new WeakMap<Client, Kept>();

function recordOf(client: Client): Kept {
  let record = kept.get(client);
  if (record === undefined) {
    record = { readers: new Map(), lingering: new Set(), asked: new Set() };
    kept.set(client, record);
  }
  return record;
}

function remember({ client, key }: StreamReader): void {
  const { asked } = recordOf(client);
  asked.add(key);
  const [oldest] = asked;
  if (asked.size > REMEMBERED && oldest !== undefined) asked.delete(oldest);
}

function linger(reader: StreamReader): void {
  const { lingering } = recordOf(reader.client);
  lingering.delete(reader);
  lingering.add(reader);
  const [oldest] = lingering;
  if (lingering.size > LINGERING) oldest?.close();
}

function forget(reader: StreamReader): void {
  const { readers, lingering } = recordOf(reader.client);
  lingering.delete(reader);
  if (readers.get(reader.key) === reader) readers.delete(reader.key);
}

/** A reader for a source: the one that is in use, or a new one that asks for nothing yet. */
export function readerFor(
  client: Client,
  source: Source,
  before?: StreamReader,
): StreamReader {
  return (
    recordOf(client).readers.get(keyOf(source)) ??
    new StreamReader(client, source, before)
  );
}

/** What is shown of a source before anything was asked. */
export function firstSnapshot(source: Source): Snapshot {
  const nothing = () => () => {};
  const watch = { onUpdate: nothing, localQueryResult: () => undefined };
  const client = { watchQuery: () => watch };
  return new StreamReader(client, source).view.snapshot;
}

/** Puts a reader to use, unless there is one that reads the same. Returns the one in use. */
export function putToUse(reader: StreamReader): StreamReader {
  const { readers, lingering } = recordOf(reader.client);
  const present = readers.get(reader.key);
  if (present === undefined) readers.set(reader.key, reader);
  lingering.delete(present ?? reader);
  return present ?? reader;
}
