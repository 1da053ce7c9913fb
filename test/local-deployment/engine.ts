import { AsyncLocalStorage, AsyncResource } from "node:async_hooks";
// Captured here: `convex-test` replaces the global timers by ones that throw
// inside queries and mutations.
import { setImmediate, setTimeout } from "node:timers";
import { convexTest } from "convex-test";
import type {
  DefaultFunctionArgs,
  FunctionReference,
  UserIdentity,
} from "convex/server";
import {
  convexToJson,
  jsonToConvex,
  type JSONValue,
  type Value,
} from "convex/values";
import { newCounters } from "./counters.js";
import { Database, type DatabaseFake } from "./database.js";
import { describeError } from "./failure.js";
import type { DeploymentOptions } from "./deployment.js";
import { Faults, InjectedFault } from "./faults.js";
import {
  canonicalPath,
  FunctionFolder,
  kindOf,
  resolveAddress,
  resolveReference,
  type FunctionAddress,
  type FunctionKind,
  type FunctionPath,
  type RegisteredFunction,
} from "./functions.js";
import type { Doc, RangeRead, Write } from "./documents.js";
import { Invocation, never, type Extras } from "./invocation.js";
import { JobCanceled, SCHEDULED, type Job, type JobState } from "./jobs.js";
import { Journal } from "./journal.js";
import { clock } from "./process-clock.js";
import { Turns } from "./turns.js";
import { checkTransferable } from "./value-limits.js";

/*
 * The engine runs functions on `convex-test`, which is made for unit tests:
 * it looks at all documents for every query, does not announce commits, and
 * wakes every waiting transaction when one ends. So this file takes hold of
 * its state and adds indexes, read sets, announced commits, turns, limits and
 * faults. The interfaces below list the internals that it uses.
 */

/** What is counted for each transaction. Writes only count if it commits. */
const READS = ["documentsRead", "bytesRead"] as const;
const WRITES = ["documentsWritten", "bytesWritten"] as const;
type Figure = (typeof READS | typeof WRITES)[number];

interface TransactionManager {
  _lastCommitTs: bigint;
  begin(isNested: boolean, limits?: unknown): Promise<void>;
  commit(isNested: boolean): bigint | null;
  rollback(isNested: boolean): void;
  getMetricsTracker(): {
    getTransactionMetrics(): Record<Figure, { used: number }>;
    trackRead(bytes: number): void;
  } | null;
}

interface ConvexGlobal {
  components: Record<string, { db: DatabaseFake }>;
  transactionManager: TransactionManager;
  asyncSyscall(op: string, jsonArgs: string): Promise<string>;
}

interface Accessor {
  queryFromPath(path: FunctionPath, args: unknown): Promise<unknown>;
  mutationFromPath(path: FunctionPath, args: unknown): Promise<unknown>;
  actionFromPath(path: FunctionPath, args: unknown): Promise<unknown>;
  runInComponent(
    componentPath: string,
    code: (ctx: unknown) => Promise<void>,
  ): Promise<void>;
  fetch(path: string, init: RequestInit): Promise<Response>;
  finishInProgressScheduledFunctions(): Promise<void>;
  withIdentity(identity: UserIdentity): Accessor;
}

/** The transaction that is running; there is one at a time. */
interface Transaction {
  invocation: Invocation | undefined;
  /** The query or mutation that it was begun for; null for the engine's own bookkeeping. */
  path: string | null;
  reads: RangeRead[];
}

export interface EngineEvents {
  /** Documents have changed. Called before any other transaction can start. */
  committed(writes: Write[]): void;
  /** A call of a query: answered from the cache if possible. */
  query(
    path: FunctionPath,
    args: Value,
    identity: UserIdentity | null,
  ): Promise<Value>;
}

type AnyReference = FunctionReference<FunctionKind, "public" | "internal">;

interface ActionCtx {
  runQuery(fn: AnyReference, args?: DefaultFunctionArgs): Promise<unknown>;
  runMutation(fn: AnyReference, args?: DefaultFunctionArgs): Promise<unknown>;
  runAction(fn: AnyReference, args?: DefaultFunctionArgs): Promise<unknown>;
}

export class Engine {
  readonly counters = newCounters();
  readonly faults = new Faults();
  readonly turns = new Turns();
  readonly folders = new Map<string, FunctionFolder>();
  events!: EngineEvents;
  /** The newest commit, in nanoseconds since 1970. */
  ts = BigInt(Date.now()) * 1_000_000n;

  /** Actions that are running. */
  readonly actions = new Set<Invocation>();
  private readonly context = new AsyncResource("LocalDeployment");
  readonly databases = new Map<string, Database>();
  private transaction: Transaction | null = null;
  private accessor!: Accessor;
  private convex!: ConvexGlobal;
  private journal: Journal | null = null;

  static async start(
    options: Omit<DeploymentOptions, "log">,
    log: (line: string) => void,
  ): Promise<Engine> {
    const engine = new Engine(log);
    const wrap = (fn: RegisteredFunction, path: FunctionPath) =>
      engine.wrap(fn, path);
    const app = await FunctionFolder.load(options.functionsDir, "", wrap);
    engine.folders.set("", app);
    for (const [name, directory] of Object.entries(options.components ?? {})) {
      const folder = await FunctionFolder.load(directory, name, wrap);
      engine.folders.set(name, folder);
    }
    engine.connect();
    if (options.data !== undefined) {
      engine.journal = new Journal(options.data);
      engine.restore(engine.journal);
    }
    return engine;
  }

  /** After this, nothing is kept any more. */
  close(): void {
    clock.set(0);
    this.journal?.close();
    this.journal = null;
  }

  private constructor(private readonly log: (line: string) => void) {}

  /**
   * Runs code outside of any function: what it starts belongs to the deployment,
   * and sees the ordinary globals.
   */
  outside<Result>(code: () => Result): Result {
    return this.context.runInAsyncScope(code);
  }

  kindOf({ componentPath, udfPath }: FunctionPath): FunctionKind {
    const fn = this.folders.get(componentPath)?.find(canonicalPath(udfPath));
    if (fn) return kindOf(fn);
    throw new Error(
      `There is no function "${udfPath}" in ${componentPath === "" ? "the app" : `the component "${componentPath}"`}.`,
    );
  }

  /** The function of a client's call. Throws, like a deployment, if a client cannot call it. */
  publicFunction(udfPath: string, kind: FunctionKind): FunctionPath {
    const path = canonicalPath(udfPath);
    const fn = this.folders.get("")?.find(path);
    if (!fn?.isPublic) {
      throw new Error(
        `Could not find public function for '${udfPath}'. Did you forget to export it, or is it internal?`,
      );
    }
    if (kindOf(fn) !== kind) {
      throw new Error(
        `Trying to execute ${udfPath} as ${kind}, but it is defined as ${kindOf(fn)}.`,
      );
    }
    return { componentPath: "", udfPath: path };
  }

  /** A call from a client, of a public function. `ts` is a mutation's commit. */
  async callPublic(
    kind: FunctionKind,
    udfPath: string,
    args: JSONValue | undefined,
    identity: UserIdentity | null,
  ): Promise<{ value: Value; ts?: bigint }> {
    try {
      const path = this.publicFunction(udfPath, kind);
      return await this.call(path, jsonToConvex(args ?? {}), identity);
    } catch (error) {
      this.report(udfPath, error);
      throw error;
    }
  }

  /** A call from outside, of any function. */
  async call(
    path: FunctionPath,
    args: Value,
    identity: UserIdentity | null,
  ): Promise<{ value: Value; ts?: bigint }> {
    this.counters.functionCalls++;
    const kind = this.kindOf(path);
    if (kind === "query") {
      return { value: await this.events.query(path, args, identity) };
    }
    const run = () => this.run(kind, path, args, identity);
    return kind === "action" ? await run() : await this.remotely(path, run);
  }

  /** Runs a function's code. `ts` is a mutation's commit. */
  async run(
    kind: FunctionKind,
    path: FunctionPath,
    args: Value,
    identity: UserIdentity | null,
    extras?: Extras,
  ): Promise<{ value: Value; ts: bigint }> {
    const invocation = new Invocation(kind, path.udfPath, identity, extras);
    if (kind === "query") this.counters.queryRuns++;
    if (kind === "action") this.actions.add(invocation);
    const result = this.outside(() =>
      invocation.run(() => this.as(identity)[`${kind}FromPath`](path, args)),
    );
    try {
      const value = await Promise.race([result, invocation.failed]);
      return { value: value as Value, ts: invocation.ts };
    } finally {
      this.finish(invocation);
    }
  }

  /** Calls a mutation over the network, which takes time and can lose the answer. */
  private async remotely<Result>(
    path: FunctionPath,
    run: () => Promise<Result>,
  ): Promise<Result> {
    const delay = this.faults.settings.commitDelayMs;
    const travel = () =>
      new Promise((resolve) => setTimeout(resolve, delay / 2));
    if (delay > 0) await travel();
    const result = await run();
    if (delay > 0) await travel();
    this.faults.afterCommit(path.udfPath);
    return result;
  }

  /**
   * Runs an HTTP action until it has a response. When the body has ended, the
   * caller must `finish` the invocation.
   */
  async httpAction(invocation: Invocation): Promise<Response> {
    const { url, method } = invocation.extras.request!;
    this.actions.add(invocation);
    const response = this.outside(() =>
      invocation.run(() =>
        this.as(invocation.identity).fetch(new URL(url).pathname, { method }),
      ),
    );
    return await Promise.race([response, invocation.failed]);
  }

  finish(invocation: Invocation): void {
    invocation.over = true;
    this.actions.delete(invocation);
  }

  /** Logs that something failed, and what it was. */
  report(what: string, error: unknown): void {
    const isExpected =
      !(error instanceof Error) || error instanceof InjectedFault;
    const details = isExpected ? describeError(error) : error.stack;
    this.log(`${what} failed: ${details ?? describeError(error)}`);
  }

  /** Records a scheduled function's new state, in a separate transaction. */
  async setState(job: Job, state: JobState): Promise<void> {
    await this.outside(() =>
      this.accessor.runInComponent(job.componentPath, async () => {
        await Promise.resolve();
        this.mark(job, state);
      }),
    );
  }

  private as(identity: UserIdentity | null): Accessor {
    return identity === null
      ? this.accessor
      : this.accessor.withIdentity(identity);
  }

  // --- What functions see ---------------------------------------------------

  private wrap(fn: RegisteredFunction, path: FunctionPath): RegisteredFunction {
    return {
      ...fn,
      exportArgs: fn.exportArgs,
      exportReturns: fn.exportReturns,
      _handler: async (ctx, args) => {
        checkTransferable(`Arguments of "${path.udfPath}"`, args);
        if (this.transaction !== null && !fn.isAction) {
          this.transaction.path ??= path.udfPath;
        }
        const itsCtx = fn.isAction
          ? this.wrapActionCtx(ctx as ActionCtx, path.componentPath)
          : ctx;
        const result = await fn._handler(itsCtx, args);
        checkTransferable(`Return value of "${path.udfPath}"`, result);
        return result;
      },
    };
  }

  /** Calls from an action leave it: they take a while, are billed, and reach nothing once it is over. */
  private wrapActionCtx<Ctx extends ActionCtx>(ctx: Ctx, from: string): Ctx {
    const call = async <Result>(
      fn: AnyReference,
      args: DefaultFunctionArgs,
      make: (path: FunctionPath) => Promise<Result>,
    ): Promise<Result> => {
      const path = resolveReference(fn, from);
      checkTransferable(`Arguments of "${path.udfPath}"`, args);
      // An action that ends now, without waiting for this call, ends first.
      await new Promise((resolve) => setImmediate(resolve));
      if (Invocation.current()?.over) return await never();
      this.counters.functionCalls++;
      try {
        return await make(path);
      } finally {
        if (Invocation.current()?.over) await never();
      }
    };
    return {
      ...ctx,
      runQuery: (fn, args = {}) =>
        call(fn, args, (path) => {
          const identity =
            path.componentPath === from
              ? (Invocation.current()?.identity ?? null)
              : null;
          return this.outside(() =>
            this.events.query(path, args as Value, identity),
          );
        }),
      runMutation: (fn, args = {}) =>
        call(fn, args, (path) =>
          this.remotely(path, () => ctx.runMutation(fn, args)),
        ),
      runAction: (fn, args = {}) =>
        call(fn, args, () => ctx.runAction(fn, args)),
    };
  }

  /** A router for `convex-test` whose handlers get the request as it came. */
  private httpModule(): unknown {
    const router = this.folders.get("")?.router;
    const lookup = (path: string, method: string) => {
      const found = router?.lookup(path, method as "GET");
      if (!found) return null;
      const [action, ...rest] = found;
      const handler = (
        action as unknown as {
          _handler: (ctx: ActionCtx, request: Request) => Promise<Response>;
        }
      )._handler;
      const itsHandler = (ctx: ActionCtx) =>
        handler(
          this.wrapActionCtx(ctx, ""),
          Invocation.current()!.extras.request!,
        );
      return [{ _handler: itsHandler }, ...rest];
    };
    return { default: { lookup } };
  }

  // --- What `convex-test` does ----------------------------------------------

  private connect(): void {
    const app = this.folders.get("")!;
    const t = convexTest({
      schema: app.schema ?? undefined,
      modules: {
        ...app.glob(),
        "/http.js": () => Promise.resolve(this.httpModule() as object),
      },
      transactionLimits: true,
    });
    for (const [name, folder] of this.folders) {
      if (name === "") continue;
      t.registerComponent(
        name,
        folder.schema as Parameters<typeof t.registerComponent>[1],
        folder.glob(),
      );
    }
    this.accessor = t as unknown as Accessor;
    this.convex = stateOf(this.accessor);
    for (const [name, { db }] of Object.entries(this.convex.components)) {
      this.databases.set(
        name,
        new Database(name, db, {
          reads: (range) => this.transaction?.reads.push(range),
          skipped: (bytes) =>
            this.convex.transactionManager
              .getMetricsTracker()
              ?.trackRead(bytes),
        }),
      );
    }
    this.takeOverTransactions(this.convex.transactionManager);
    this.takeOverSyscalls();
  }

  private takeOverTransactions(manager: TransactionManager): void {
    const begin = manager.begin.bind(manager);
    const commit = manager.commit.bind(manager);
    const rollback = manager.rollback.bind(manager);

    manager.begin = async (isNested, limits) => {
      if (isNested) {
        await begin(true, limits);
        return;
      }
      const invocation = Invocation.current();
      await this.turns.take(invocation?.kind === "query");
      if (invocation?.over) {
        this.turns.release();
        return await never();
      }
      await begin(false, limits);
      this.transaction = { invocation, path: null, reads: [] };
    };

    manager.commit = (isNested) => {
      if (isNested) return commit(true);
      // What is thrown here rolls the transaction back.
      const { invocation, path } = this.transaction!;
      if (invocation?.over) {
        throw new Error(`"${invocation.name}" was over before this commit.`);
      }
      if (path !== null) this.faults.beforeCommit(path);
      const job = invocation?.extras.job;
      // In the same commit: so a scheduled mutation runs exactly once, even if
      // the process ends right after it.
      if (job !== undefined) this.mark(job, "success");
      if (path !== null) this.count([...READS, ...WRITES]);
      const databases = [...this.databases.values()];
      const pending = databases.flatMap((database) => database.pendingWrites());
      // What cannot be kept is not committed.
      if (pending.length > 0) this.write(pending);
      const commitTs = commit(false);
      const writes = databases.flatMap((database) => database.apply(pending));
      if (writes.length > 0) {
        const next = this.ts + 1n;
        this.ts = commitTs !== null && commitTs > next ? commitTs : next;
      }
      if (invocation !== undefined) invocation.ts = this.ts;
      if (path !== null && writes.some(({ id }) => id !== job?.id)) {
        this.counters.commits++;
      }
      if (writes.length > 0) {
        this.outside(() => this.events.committed(writes));
      }
      this.endTransaction();
      return commitTs;
    };

    manager.rollback = (isNested) => {
      if (isNested) {
        rollback(true);
        return;
      }
      const { invocation, path, reads } = this.transaction!;
      if (path !== null) this.count(READS);
      rollback(false);
      if (invocation?.kind === "query") invocation.extras.onReads?.(reads);
      this.endTransaction();
    };
  }

  /** Records a scheduled function's new state, in the running transaction. */
  private mark({ componentPath, id }: Job, kind: JobState): void {
    const { db } = this.convex.components[componentPath]!;
    const { state } = db.get(SCHEDULED, id) as unknown as {
      state: { kind: string };
    };
    const isOpen = state.kind === "pending" || state.kind === "inProgress";
    if (!isOpen) throw new JobCanceled();
    const end = kind === "inProgress" ? {} : { completedTime: clock.now() };
    db.patch(SCHEDULED, id, { state: { kind }, ...end });
  }

  // --- What is kept -----------------------------------------------------------

  private write(pending: Write[]): void {
    this.journal?.append({
      at: Math.max(clock.now(), Number(this.ts / 1_000_000n)),
      writes: pending.map(({ component, id, after }) => ({
        component,
        id,
        doc: after === null ? null : convexToJson(after as Value),
      })),
    });
  }

  private restore({ entries }: Journal): void {
    const writes = entries.flatMap((entry) => entry.writes);
    for (const { component, id, doc } of writes) {
      const database = this.databases.get(component);
      database?.restore(id, jsonToConvex(doc) as Doc | null);
    }
    // Clients have seen the time of the last commit; the next one comes after it.
    const last = BigInt((entries.at(-1)?.at ?? 0) + 1) * 1_000_000n;
    if (last > this.ts) this.ts = last;
    this.convex.transactionManager._lastCommitTs = this.ts;
  }

  private endTransaction(): void {
    this.transaction = null;
    for (const database of this.databases.values()) database.closeCursors();
    this.turns.release();
  }

  private count(figures: readonly Figure[]): void {
    const metrics = this.convex.transactionManager
      .getMetricsTracker()!
      .getTransactionMetrics();
    for (const name of figures) this.counters[name] += metrics[name].used;
  }

  private takeOverSyscalls(): void {
    const original = this.convex.asyncSyscall.bind(this.convex);
    this.convex.asyncSyscall = async (op, jsonArgs) => {
      if (Invocation.current()?.over) return await never();
      if (op !== "1.0/schedule") return await original(op, jsonArgs);
      const caller = await original("1.0/getFunctionMetadata", "{}");
      const { componentPath } = JSON.parse(caller) as FunctionPath;
      return JSON.stringify(this.schedule(componentPath, jsonArgs));
    };
  }

  /** A job is a document. It is run once the transaction has committed. Returns its id. */
  private schedule(from: string, jsonArgs: string): string {
    const { args, ts, ...address } = JSON.parse(jsonArgs) as FunctionAddress & {
      args: JSONValue;
      ts: number;
    };
    const path = resolveAddress(address, from);
    const itsArgs = jsonToConvex(args);
    checkTransferable(`Arguments of "${path.udfPath}"`, itsArgs);
    // Throws here, and not only when it is due, if there is no such function.
    this.kindOf(path);
    return this.convex.components[from]!.db.insert(SCHEDULED, {
      name: path.udfPath,
      // Not in Convex: where the function is.
      componentPath: path.componentPath,
      args: [itsArgs],
      scheduledTime: ts * 1000,
      state: { kind: "pending" },
    });
  }
}

/** The state behind a `convexTest` accessor, which enters it as an async context at every call. */
function stateOf(accessor: Accessor): ConvexGlobal {
  let state: unknown;
  const { prototype } = AsyncLocalStorage;
  // eslint-disable-next-line @typescript-eslint/unbound-method -- put back below, and called with its `this`
  const run = prototype.run as (...args: unknown[]) => unknown;
  prototype.run = function (store: unknown, ...rest: unknown[]) {
    if (typeof store === "object" && store && "transactionManager" in store) {
      state ??= store;
    }
    return run.call(this, store, ...rest) as never;
  };
  try {
    void accessor.finishInProgressScheduledFunctions();
  } finally {
    prototype.run = run as typeof prototype.run;
  }
  if (state === undefined) {
    throw new Error(
      "The local deployment cannot find the state of `convex-test`: this version keeps it elsewhere.",
    );
  }
  return state as ConvexGlobal;
}
