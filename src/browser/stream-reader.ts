import { type StreamStatus, isFinal } from "../shared.js";
import {
  createDatabaseSide,
  type DatabaseQuestion,
  type QueryResult,
} from "./database-side.js";
import { createReport, examine, expectWriter } from "./first-aid.js";
import {
  createHttpSide,
  hasDynamicHeaders,
  type HttpSide,
  type PostOptions,
} from "./http-side.js";
import { nameSource } from "./lines.js";
import { cancelUpdate, onNextFrame } from "./pace.js";
import { createPrefix, type Prefix } from "./prefix.js";
import { listenForWakes } from "./request.js";

/**
 * A page that has just loaded waits this long for the database before it drives,
 * because the stream may already have ended. See `mayAsk`.
 */
const DATABASE_FIRST_MS = 300;

/** Why a stream ended early, or why HTTP refused it. */
export interface StreamProblem {
  /** The kind of error, such as `WriterFailed` or `Refused`. */
  kind: string;
  /** A sentence that describes it. */
  message: string;
  /** The data of the writer's `ConvexError`. */
  data?: unknown;
  /** The status of the HTTP response. */
  status?: number;
}

/** The state of a stream on a page: a new object for each change. */
export interface Snapshot {
  /** The text so far. */
  text: string;
  /** The stream's status. */
  status: StreamStatus;
  /** Whether nothing is known about the stream yet. */
  isLoading: boolean;
  /** Why the stream ended early, or why the HTTP action refused to write it. */
  error?: StreamProblem;
  /** Asks again, after the request was refused or failed. */
  retry: () => void;
}

/** A snapshot, or what the app's query threw instead. */
export interface View {
  snapshot: Snapshot;
  thrown: { error: unknown } | null;
  /** Tells two views apart. */
  parts: unknown[];
}

/** Where to read a stream from. A source with equal content is the same source. */
export interface Source
  extends Omit<PostOptions, "url">, Omit<DatabaseQuestion, "watch"> {
  /** A reference to the app's query. */
  query: unknown;
  /** Undefined, null and `""`: there is no stream yet. */
  streamId: string | null | undefined;
  /** The URL of the HTTP action; null if it is not to be asked. */
  url: string | null;
  /**
   * Whether to ask the HTTP action: at once, or when the database says that the
   * stream has no writer.
   */
  driven: boolean | "auto";
  initial?: QueryResult | null | undefined;
}

/** One component, or one `watchStream`, that shows a reader's state. */
export interface Watcher {
  /** What it wants to read; null until it says so. */
  source: Source | null;
  /** Whether nothing is to be requested for it yet. */
  isMounting?: boolean;
  /** The reader in use, once it has been added. */
  reader?: StreamReader;
  /** Called when it is added, and for each change. */
  onChange: (reader: StreamReader) => void;
}

/** What is kept per client. */
export interface Kept {
  /** The readers. The one that was left most recently is the last. */
  readers: Map<string, StreamReader>;
  /** The streams that this page knows to have begun. */
  begun: Set<string>;
}

/** Shared with the other readers of the page. */
export interface Surroundings extends Kept {
  /** Keys of what it reads: without the URL, and with it. */
  identity: string;
  key: string;
  client: object;
  /** Subscribes to the app's query. */
  watch: DatabaseQuestion["watch"];
  /** Whether to show only the source's own content at first. */
  isBlank: boolean | undefined;
  /** Whether the page has never been connected to the database. */
  isNew: boolean;
}

export interface StreamReader extends Surroundings {
  readonly streamId: string;
  readonly prefix: Prefix;
  readonly http: HttpSide;
  /** What to show: the same object until it changes. */
  view: View;
  /** Runs while no one shows it. */
  lingering: ReturnType<typeof setTimeout> | undefined;
  isIdle(): boolean;
  /** Takes over what another reader of the stream has shown. */
  adopt(other: StreamReader): void;
  add(watcher: Watcher): void;
  /** What is open stays open until the reader is closed. */
  remove(watcher: Watcher): void;
  /** Updates a watcher's source. */
  update(watcher: Watcher): void;
  /** Stops everything. The text stays, and reading continues when someone is added. */
  close(): void;
}

/** Whether a reader shows a stream as done, although the database has not said so. */
const tookAsDone = ({ prefix, view }: StreamReader): boolean =>
  isFinal(view.snapshot.status) && !isFinal(prefix.status);

/**
 * Reads one stream, for everyone on the page who shows it.
 *
 * There are two sources, HTTP and the database, and both extend one prefix. `settle`
 * decides from the state which of them is in use. Changes are shown with one of the
 * next frames.
 *
 * It requests nothing yet, because React may discard a reader that it has just
 * created. It is a closure and not a class, because minifiers shorten variables but
 * not properties.
 *
 * @param before The reader that was shown so far. If it reads the same stream in
 *   another way, its text stays.
 */
export function createReader(
  source: Source,
  surroundings: Surroundings,
  before?: StreamReader,
): StreamReader {
  const { watch, isBlank, begun } = surroundings;
  const streamId = source.streamId || "";
  const watchers = new Set<Watcher>();
  const report = createReport();
  const isSame = before?.streamId === streamId;
  const prefix = createPrefix(isSame ? before.prefix : undefined);
  /** Whether someone has driven with `true`. A request that was wanted stays wanted. */
  let isDriven = false;
  /** Whether to hear the database first, and the timer that ends this. */
  let isPatient = surroundings.isNew;
  let waiting: ReturnType<typeof setTimeout> | undefined;
  /** Whether HTTP ended cleanly, and the database said nothing after that. */
  let isTakenAsDone = isSame && tookAsDone(before);

  const http = createHttpSide({
    source: findDriver,
    text: (offset, text) => {
      prefix.receive(offset, text);
      if (prefix.isOverruled) settle();
      changed();
    },
    change: () => {
      const { state, received } = http;
      if (received) database.continueFrom(prefix.end);
      if (state === "over") begun.add(streamId);
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
  // A request that got no text may still be sent again.
  const mayAskAgain = ["unsent", "waiting", "refused"];
  if (isSame && !mayAskAgain.includes(before.http.state)) {
    http.state = "over";
    http.received = before.http.received;
  }
  if (streamId) {
    if (source.initial) database.take(source.initial);
    // Another component may already have the text. Then it shows at once.
    if (!isBlank) database.peek();
  }
  let isLoading = streamId !== "" && database.answer === undefined;
  // From now on, the database's answers are news.
  database.answer = undefined;

  /** The source of a watcher that drives, or did when the request was wanted. */
  function findDriver(): (Source & { url: string }) | null {
    let found: Source | null = null;
    for (const { source, isMounting } of watchers) {
      if (!source?.url || isMounting) continue;
      if (source.driven || (isDriven && !found)) found = source;
    }
    return found as (Source & { url: string }) | null;
  }

  /** Not at once, because all effects of a commit count, and so does StrictMode's second mount. */
  const settleSoon = () => void Promise.resolve().then(settle);

  /** Opens and closes the two sources according to the state. */
  function settle(): void {
    const { status } = prefix;
    if (!streamId) return;
    // If no one is left, open sources stay open for a while. But if HTTP ends, the
    // database is asked whether that was the stream's end.
    const hasEnded = http.received > 0 && http.state === "over";
    if (watchers.size === 0 && !hasEnded) return;
    if (status !== "pending") begun.add(streamId);
    if (isFinal(status) || prefix.isOverruled) http.abort();
    if (http.state === "flowing" || database.isComplete()) {
      database.close();
    } else {
      // Comes before HTTP: the database may say that no request is needed.
      database.open();
    }
    if (http.state === "unsent" && mayAsk()) void http.ask(streamId);
    expectWriter(report, streamId, () => isUnclaimed() && !findDriver());
  }

  const isUnclaimed = () =>
    database.page?.status === "pending" && !database.page.claimed;

  /**
   * Whether the stream may need a writer. A page that created the stream is connected
   * to the database, and asks at once: the first token is not delayed by a query. A
   * page that is not connected yet has just loaded, so the stream may already have
   * ended.
   */
  function mayAsk(): boolean {
    if (prefix.status !== "pending" || http.refusal) return false;
    if (database.page) return isUnclaimed();
    if (!isDriven || begun.has(streamId)) return false;
    if (!isPatient || database.failure || database.answer === null) return true;
    waiting ??= setTimeout(() => {
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
    nameSource(snapshot, prefix.source);
    const thrown = http.isHopeful() ? null : failure;
    const parts = [text, snapshot.status, isLoading, page, refusal, thrown];
    return { snapshot, thrown, parts };
  }

  function changed(): void {
    // The end shows at once, complete. If no one watches, there is nothing to wait for.
    if (isTakenAsDone || isFinal(prefix.status) || watchers.size === 0) show();
    else onNextFrame(show);
  }

  function show(): void {
    cancelUpdate(show);
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
    begun.delete(streamId);
    database.failure = null;
    database.close();
    http.retry();
  }

  const reader: StreamReader = {
    ...surroundings,
    lingering: undefined,
    streamId,
    prefix,
    http,
    view: toView(),
    isIdle: () => watchers.size === 0,

    adopt(other: StreamReader): void {
      prefix.adopt(other.prefix);
      isTakenAsDone ||= !database.page && tookAsDone(other);
      show();
    },

    add(watcher: Watcher): void {
      listenForWakes(wake, true);
      watchers.add(watcher);
      watcher.reader = reader;
      // A hook that has just changed streams still has the source of the last one.
      if (watcher.source?.streamId !== streamId) watcher.source = null;
      reader.update(watcher);
      if (http.state === "flowing") settleSoon();
      // All of them, because earlier ones may not have rendered the newest view yet,
      // and all must show the same.
      tell();
    },

    remove(watcher: Watcher): void {
      if (!watchers.delete(watcher) || watchers.size > 0) return;
      listenForWakes(wake, false);
      changed();
      expectWriter(report, streamId, () => false);
    },

    update({ source, isMounting }: Watcher): void {
      if (!source || isMounting) return;
      if (source.driven === true && source.url) isDriven = true;
      if (!hasDynamicHeaders(source)) void http.askIfChanged();
      // Every render of a hook comes here, for each token that it shows.
      if (http.state !== "flowing") settleSoon();
    },

    close(): void {
      http.abort();
      database.close();
    },
  };

  return reader;
}
