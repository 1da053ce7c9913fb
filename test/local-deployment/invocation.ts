import { AsyncLocalStorage } from "node:async_hooks";
import type { UserIdentity } from "convex/server";
import type { FunctionKind } from "./functions.js";
import type { Job } from "./jobs.js";
import type { RangeRead } from "./documents.js";

/** A promise for something that no longer happens: code that awaits it stops there. */
export function never(): Promise<never> {
  return new Promise(() => {});
}

/** What else the engine is to do for an invocation. */
export interface Extras {
  /** Called with what a query has read, before anything else can commit. */
  onReads?: (reads: RangeRead[]) => void;
  /** The scheduled function that a mutation is. Its commit records that it has run. */
  job?: Job;
}

/**
 * One function that was called from outside, and everything that it calls. Code
 * that runs on its behalf finds it with `Invocation.current()`.
 */
export class Invocation {
  private static readonly storage = new AsyncLocalStorage<Invocation>();

  static current(): Invocation | undefined {
    return this.storage.getStore();
  }

  /** The commit of a mutation, or the newest one that it saw. */
  ts = 0n;
  /** Once over, nothing that the code still tries has any effect. */
  over = false;
  /** Rejects when the invocation is ended from outside: killed, or by an unhandled rejection. */
  readonly failed: Promise<never>;
  private reject!: (reason: unknown) => void;

  /** @param name For messages, e.g. `chat:send` or `POST /chat-stream`. */
  constructor(
    readonly kind: FunctionKind,
    readonly name: string,
    readonly identity: UserIdentity | null,
    readonly extras: Extras = {},
  ) {
    this.failed = new Promise((_, reject) => {
      this.reject = reject;
    });
    // The code that runs the invocation races against it.
    this.failed.catch(() => {});
  }

  /** Runs code on behalf of this invocation. */
  run<Result>(code: () => Result): Result {
    return Invocation.storage.run(this, code);
  }

  fail(reason: unknown): void {
    if (this.over) return;
    this.over = true;
    this.reject(reason);
  }
}

type Listener = (reason: unknown, detail: unknown) => void;

let isWatching = false;

/**
 * On a deployment, an unhandled rejection or an exception in a timer ends the
 * function it belongs to, and no other. So once a deployment has run here, such
 * errors end the function. Those that belong to none go to the process's own
 * listeners.
 */
export function watchStrayErrors(): void {
  if (isWatching) return;
  isWatching = true;
  for (const event of ["unhandledRejection", "uncaughtException"]) {
    const others = process.rawListeners(event) as Listener[];
    process.removeAllListeners(event);
    process.on(event, (reason: unknown, detail: unknown) => {
      const invocation = Invocation.current();
      if (invocation !== undefined) {
        invocation.fail(reason);
        return;
      }
      // Without listeners it ends the process, as it would have without us.
      if (others.length === 0) throw reason;
      for (const listener of others) listener(reason, detail);
    });
  }
}
