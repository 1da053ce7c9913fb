import { type StreamStatus, isFinal } from "../shared.js";
import {
  createDatabaseSide,
  type DatabaseQuestion,
  type QueryResult,
} from "./database-side.js";
import { createReport, examine, expectWriter } from "./first-aid.js";
import { createHttpSide, type HttpSide } from "./http-side.js";
import { nameSource } from "./lines.js";
import { onNextFrame } from "./pace.js";
import { hasDynamicHeaders, type PostOptions } from "./post.js";
import { createPrefix, type Prefix } from "./prefix.js";
import { listenForWakes } from "./request.js";

/**
 * A page that has just been loaded waits this long for the database before it drives:
 * the stream may have ended before. See `mayAsk`.
 */
const DATABASE_FIRST_MS = 300;

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
  /** What tells two views apart. */
  parts: unknown[];
}

/** Where to read a stream from. A source that says the same in other objects changes nothing. */
export interface Source
  extends Omit<PostOptions, "url">, Omit<DatabaseQuestion, "watch"> {
  /** A reference to the app's query. */
  query: unknown;
  /** Undefined, null and `""`: there is no stream yet. */
  streamId: string | null | undefined;
  /** Of the HTTP action; null if it is not to be asked. */
  url: string | null;
  /** Whether to ask the HTTP action: at once, or when the database says that nobody writes the stream. */
  driven: boolean | "auto";
  initial?: QueryResult | null | undefined;
}

/** One component, or one `watchStream`, that shows what a reader has. */
export interface Watcher {
  /** What it wants to read; null if it has not said so yet. */
  source: Source | null;
  /** The reader in use, once it has been added. */
  reader?: StreamReader;
  /** Called when it is added, and with each change. */
  onChange: (reader: StreamReader) => void;
}

/** What a reader shares with the others of a page. */
export interface Surroundings {
  /** What it reads, whatever the URL; and with the URL. */
  identity: string;
  key: string;
  client: object;
  /** Subscribes to the app's query. */
  watch: DatabaseQuestion["watch"];
  /** Whether to show nothing at first but what the source itself contains. */
  isBlank: boolean | undefined;
  /** Whether the page has had no connection to the database yet. */
  isNew: boolean;
  /** The streams of this page that have been asked for over HTTP. */
  asked: Set<string>;
}

export interface StreamReader extends Surroundings {
  readonly streamId: string;
  readonly prefix: Prefix;
  readonly http: HttpSide;
  /** What to show: the same object until it changes. */
  view: View;
  /** Runs while nobody shows it any more. */
  lingering: ReturnType<typeof setTimeout> | undefined;
  isIdle(): boolean;
  add(watcher: Watcher): void;
  /** What is open stays open until the reader is closed. */
  remove(watcher: Watcher): void;
  /** Takes on what a watcher says now. */
  update(watcher: Watcher): void;
  /** Ends all that is going on. Its text stays, and it goes on when somebody is added. */
  close(): void;
}

/**
 * Reads one stream, for everybody on the page who shows it.
 *
 * There are two sources, HTTP and the database, and one prefix that both extend. Which
 * of them is in use follows from the state, in `settle`. What is shown changes with one
 * of the next frames.
 *
 * Asks for nothing yet: React may throw away a reader that it has just made. A closure
 * and not a class, because minifiers shorten variables and keep properties.
 *
 * @param before The reader that was shown so far. If it reads the same stream by other
 *   means, its text stays.
 */
export function createReader(
  source: Source,
  surroundings: Surroundings,
  before?: StreamReader,
): StreamReader {
  const { key, watch, isBlank, isNew, asked } = surroundings;
  const streamId = source.streamId || "";
  const watchers = new Set<Watcher>();
  const report = createReport();
  const isSame = before?.streamId === streamId;
  const prefix = createPrefix(isSame ? before.prefix : undefined);
  /** Whether to ask without waiting for the database. What was wanted once stays wanted. */
  let isDriven = false;
  /** Runs while the database may have the first word. */
  let patience: ReturnType<typeof setTimeout> | undefined;
  let isPatient = isNew;
  /** Whether HTTP ended cleanly, and the database said nothing after that. */
  let isTakenAsDone = false;
  let isSettling = false;
  let cancelUpdate: (() => void) | undefined;

  const http = createHttpSide({
    source: findDriver,
    text: (offset, text) => {
      prefix.receive(offset, text);
      changed();
    },
    change: () => {
      const { state } = http;
      if (http.received > 0 && (state === "quiet" || state === "over")) {
        database.continueFrom(prefix.end);
      }
      if (state === "flowing" || state === "over") asked.add(key);
      settle();
      changed();
    },
    silence: () => {
      isTakenAsDone = database.answer == null;
      changed();
    },
    report,
  });
  const database = createDatabaseSide(
    streamId,
    { ...source, watch },
    prefix,
    () => {
      examine(report, streamId, database, http);
      if (database.answer !== undefined) isLoading = false;
      changed();
      settleSoon();
    },
  );
  if (isSame && before.http.state !== "unsent") http.state = "over";
  if (streamId) {
    if (source.initial) database.take(source.initial);
    // Another component may have the text already; then it is shown at once.
    if (!isBlank) database.peek();
  }
  let isLoading =
    streamId !== "" && prefix.text === "" && database.answer === undefined;
  // What the database says from now on is news.
  database.answer = undefined;

  /** The source of a watcher who drives; or of one who did, when the request was wanted. */
  function findDriver(): (Source & { url: string }) | null {
    let found: Source | null = null;
    for (const { source } of watchers) {
      if (!source?.url) continue;
      if (source.driven) found = source;
      else if (isDriven) found ??= source;
    }
    return found as (Source & { url: string }) | null;
  }

  /** Not at once: all effects of a commit count, and StrictMode's second mount. */
  function settleSoon(): void {
    if (isSettling) return;
    isSettling = true;
    void Promise.resolve().then(() => {
      isSettling = false;
      settle();
    });
  }

  /** Opens and closes the two sources as the state asks for. */
  function settle(): void {
    const { status } = prefix;
    // Where nobody is left, what is open stays open for a while.
    if (!streamId || watchers.size === 0) return;
    if (isFinal(status) || prefix.isOverruled) http.abort();
    if (http.state === "flowing" || database.isComplete(status)) {
      database.close();
    } else {
      // Before HTTP: the database may say that nothing needs to be asked.
      database.open();
    }
    if (http.state === "unsent" && mayAsk()) void http.ask(streamId);
    expectWriter(report, streamId, () => isUnclaimed() && !findDriver());
  }

  const isUnclaimed = () =>
    database.page?.status === "pending" && !database.page.claimed;

  /**
   * Whether the stream may not have begun. A page that has made the stream is connected
   * to the database, and asks at once. One that is not connected yet has been loaded
   * with it, so the database may know the end.
   */
  function mayAsk(): boolean {
    if (prefix.status !== "pending" || http.refusal) return false;
    if (database.page) return isUnclaimed();
    if (!isDriven || asked.has(key)) return false;
    if (!isPatient || database.failure || database.answer === null) return true;
    patience ??= setTimeout(() => {
      isPatient = false;
      settle();
    }, DATABASE_FIRST_MS);
    return false;
  }

  function toView(): View {
    const { text, status } = prefix;
    const { page, failure } = database;
    const { from: _, next: _n, claimed: _c, ...fields } = page ?? {};
    const { refusal } = http;
    const snapshot: Snapshot = {
      ...fields,
      text,
      status: isTakenAsDone && !isFinal(status) ? "done" : status,
      isLoading: isLoading && !text && !refusal,
      retry,
    };
    if (refusal && status === "pending") snapshot.error = refusal;
    if (!snapshot.error) delete snapshot.error;
    nameSource(snapshot, prefix.source);
    const thrown = http.isHopeful() ? null : failure;
    const parts = [text, snapshot.status, isLoading, page, refusal, thrown];
    return { snapshot, thrown, parts };
  }

  function changed(): void {
    if (isTakenAsDone || isFinal(prefix.status)) {
      // The end is shown at once, whole.
      cancelUpdate?.();
      show();
    } else {
      cancelUpdate ??= onNextFrame(show);
    }
  }

  function show(): void {
    cancelUpdate = undefined;
    const { answer, failure } = database;
    if (http.isHopeful()) {
      const query = `The query for stream ${streamId}`;
      const failed = `${query} failed`;
      if (failure) report(`${failed}: ${String(failure.error)}`, false, failed);
      if (answer === null) report(`${query} answered null.`);
    }
    const { parts } = reader.view;
    const view = toView();
    if (view.parts.every((part, i) => part === parts[i])) return;
    reader.view = view;
    tell();
  }

  const tell = (): void => {
    for (const { onChange } of [...watchers]) onChange(reader);
  };

  const wake = (): void => {
    if (!globalThis.document?.hidden) http.wake();
  };

  function retry(): void {
    asked.delete(key);
    if (database.failure) {
      database.failure = null;
      database.close();
    }
    http.retry();
    settle();
    changed();
  }

  const reader: StreamReader = {
    ...surroundings,
    lingering: undefined,
    streamId,
    prefix,
    http,
    view: toView(),
    isIdle: () => watchers.size === 0,

    add(watcher: Watcher): void {
      if (watchers.size === 0) listenForWakes(wake, true);
      watchers.add(watcher);
      watcher.reader = reader;
      reader.update(watcher);
      // All of them: those that were there before may not have rendered the newest
      // view yet, and all are to show the same.
      tell();
    },

    remove(watcher: Watcher): void {
      if (!watchers.delete(watcher) || watchers.size > 0) return;
      listenForWakes(wake, false);
      clearTimeout(patience);
      patience = undefined;
      expectWriter(report, streamId, () => false);
    },

    update({ source }: Watcher): void {
      if (!source) return;
      if (source.driven === true && source.url) isDriven = true;
      if (!hasDynamicHeaders(source)) void http.askIfChanged();
      settleSoon();
    },

    close(): void {
      http.abort();
      database.close();
      cancelUpdate?.();
      cancelUpdate = undefined;
    },
  };

  return reader;
}
