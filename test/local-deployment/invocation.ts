import { AsyncLocalStorage } from "node:async_hooks";
import type { UserIdentity } from "convex/server";
import type { FunctionKind } from "./functions.js";
import type { Job } from "./jobs.js";
import type { ReadSet } from "./reads.js";

/** A promise for what no longer happens: the code that awaits it stays where it is. */
export function never(): Promise<never> {
  return new Promise(() => {});
}

/**
 * One function that was called from outside, and all that it calls. The code
 * that runs on its behalf finds it with `Invocation.current()`.
 */
export class Invocation {
  private static readonly storage = new AsyncLocalStorage<Invocation>();

  static current(): Invocation | undefined {
    return this.storage.getStore();
  }

  readonly kind: FunctionKind | "http";
  /** For messages, e.g. `chat:send` or `POST /chat-stream`. */
  readonly name: string;
  readonly identity: UserIdentity | null;
  /** The request of an HTTP action. */
  request: Request | null = null;
  /** Called with what a query has read, before anything else can commit. */
  onReads: ((reads: ReadSet) => void) | null = null;
  /** The scheduled function that a mutation is; its commit says that it has run. */
  job: Job | null = null;
  /** The client's request that a mutation is, by `session/request`; its commit notes the answer. */
  answers: string | null = null;
  /** The commit of a mutation, or the newest one that it saw. */
  ts = 0n;
  /** Rejects when the invocation is ended from outside: killed, or by an unhandled rejection. */
  readonly failed: Promise<never>;
  private isOver = false;
  private reject!: (reason: unknown) => void;

  constructor(
    kind: FunctionKind | "http",
    name: string,
    identity: UserIdentity | null,
  ) {
    this.kind = kind;
    this.name = name;
    this.identity = identity;
    this.failed = new Promise((_, reject) => {
      this.reject = reject;
    });
    this.failed.catch(() => {
      // Whoever runs the invocation races against it; nobody else has to.
    });
  }

  /** Once over, nothing that the code still tries has any effect. */
  get over(): boolean {
    return this.isOver;
  }

  /** Runs code on behalf of this invocation. */
  run<Result>(code: () => Result): Result {
    return Invocation.storage.run(this, code);
  }

  /** Whether it is a request whose URL contains this; if that is not given, any function is meant. */
  asksFor(url: string | undefined): boolean {
    return url === undefined || (this.request?.url.includes(url) ?? false);
  }

  finish(): void {
    this.isOver = true;
  }

  fail(reason: unknown): void {
    if (this.isOver) return;
    this.isOver = true;
    this.reject(reason);
  }
}
