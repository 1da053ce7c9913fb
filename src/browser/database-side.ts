/**
 * The database side of a reader: a subscription to the app's query, and the offset it
 * asks from.
 */
import { isFinal, type StreamStatus } from "../shared.js";
import type { Prefix } from "./prefix.js";
import type { StreamProblem } from "./stream-reader.js";

/** How much of the end of HTTP's text (UTF-16 code units) is compared with the database's. */
const OVERLAP = 1024;

/** The result of the app's query: that of `getStreamBody`, plus fields of its own. */
export interface QueryResult {
  /** The text, from `from` on if there is one. */
  text: string;
  /** The stream's status. */
  status: StreamStatus;
  /** The offset where the text starts. */
  from?: number;
  /** The offset to ask from next. */
  next?: number;
  /** Whether the stream has a writer. */
  claimed?: boolean;
  /** Why it ended early. */
  error?: StreamProblem | undefined;
}

/** What `watchQuery` of a Convex client returns. */
export interface DatabaseWatch {
  onUpdate(listener: () => void): () => void;
  localQueryResult(): unknown;
}

/** What to ask the query. */
export interface DatabaseQuestion {
  /** Subscribes to the query with these arguments. */
  watch: (args: Record<string, unknown>) => DatabaseWatch;
  incremental?: unknown;
  tail?: number | undefined;
  args?: Record<string, unknown> | undefined;
}

export type DatabaseSide = ReturnType<typeof createDatabaseSide>;

export function createDatabaseSide(
  streamId: string,
  { watch, incremental, tail, args }: DatabaseQuestion,
  prefix: Prefix,
  onChange: () => void,
) {
  let unsubscribe: (() => void) | null = null;
  /** The offset to read from next; null before the first answer. */
  let position: number | null = null;
  /** Whether the text before the newest page may differ from the database's. */
  let isInDoubt = false;

  const side = {
    /** The database's last answer; undefined if HTTP has brought text since. */
    answer: undefined as unknown,
    /** The newest result that was not null. */
    page: null as QueryResult | null,
    /** What the query threw. */
    failure: null as { error: unknown } | null,

    open(): void {
      if (unsubscribe !== null) return;
      const asked = position;
      const watching = subscription();
      const onUpdate = () => {
        side.peek(watching);
        if ((position ?? 0) !== (asked ?? 0)) stop();
        onChange();
      };
      try {
        unsubscribe = watching.onUpdate(onUpdate);
      } catch (error) {
        // The client has been closed.
        side.failure = { error };
        return;
      }
      onUpdate();
    },

    close(): void {
      stop();
      side.answer = undefined;
    },

    /** Takes the result that the client already has. */
    peek(watching = subscription()): void {
      try {
        const answer = watching.localQueryResult();
        if (answer === undefined) return;
        side.failure = null;
        side.take(answer);
      } catch (error) {
        side.failure = { error };
      }
    },

    take(answer: unknown): void {
      side.answer = answer;
      if (answer == null) return;
      const page = answer as QueryResult;
      const { text, from, next, status } = page;
      if (from !== undefined && prefix.start !== null && from > prefix.end) {
        // More was saved since the last answer than `tail` brings. Ask again.
        if (incremental) position = prefix.end;
        else {
          tail! += from - prefix.end;
          position = from;
        }
        return;
      }
      side.page = page;
      if (from !== undefined) {
        const differs = prefix.save(from, text);
        // When a stream is done, everything that its writer appended is saved.
        const isShort = status === "done" && from + text.length < prefix.end;
        isInDoubt = from > 0 && (differs || isShort || isInDoubt);
        if (isInDoubt) position = 0;
        else if (!isFinal(status) && next !== undefined) askFrom(next);
      } else if (!incremental) {
        prefix.replace(text, status);
      } else if (!position) {
        prefix.save(0, text);
      } else {
        // A query that does not say where its text starts can only return all of it.
        position = 0;
      }
      prefix.update(status);
    },

    /**
     * A reader of HTTP asks for what follows HTTP's text, and for the end of that
     * text, to compare the two. All others ask from the same offsets, so that one
     * answer serves them all.
     */
    continueFrom: (end: number) => askFrom(end - OVERLAP),

    /**
     * Whether the database has nothing to add. A stream that was aborted or timed out
     * may still get its writer's last words, as long as that holds the stream. A
     * query that returns the whole text may change it at any time.
     */
    isComplete(): boolean {
      const { status, claimed } = side.page ?? {};
      const isLast = status === "done" || status === "error";
      return !!incremental && !isInDoubt && isLast && !claimed;
    },
  };

  const stop = () => {
    unsubscribe?.();
    unsubscribe = null;
  };

  const askFrom = (offset: number) => {
    position = Math.max(position ?? 0, offset);
  };

  const subscription = () => {
    const asked: Record<string, unknown> = { ...args, streamId };
    if (incremental && (position !== null || tail === undefined)) {
      asked.from = position ?? 0;
    } else if (tail !== undefined) {
      asked.tail = tail;
    }
    return watch(asked);
  };

  return side;
}
