import { AsyncLocalStorage, AsyncResource } from "node:async_hooks";
// Captured here: `convex-test` replaces the global timers by ones that throw
// inside queries and mutations.
import { setImmediate, setTimeout } from "node:timers";
import { convexTest } from "convex-test";
import {
  createFunctionHandle,
  type DefaultFunctionArgs,
  type FunctionReference,
  type UserIdentity,
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
  FunctionFolder,
  kindOf,
  pathOf,
  type Call,
  type FunctionKind,
  type FunctionPath,
  type RegisteredFunction,
} from "./functions.js";
import type { Doc, RangeRead, Write } from "./documents.js";
import { Invocation, never, type Extras } from "./invocation.js";
import {
  JobCanceled,
  SCHEDULED,
  type Job,
  type JobDoc,
  type JobState,
} from "./jobs.js";
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

const OURS = { persistentTextStreaming: "src/component" };

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
  fun(path: FunctionPath, args: unknown): Promise<unknown>;
  action(handler: (ctx: ActionCtx) => Promise<void>): Promise<void>;
  runInComponent(componentPath: string, code: () => void): Promise<void>;
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

/** What a function returned. `ts` is a mutation's commit. */
interface Returned {
  value: Value;
  ts: bigint;
}

export interface EngineEvents {
  /** Documents have changed. Called before any other transaction can start. */
  committed(writes: Write[]): void;
  /** A call of a query: answered from the cache if possible. */
  query(call: Call): Promise<Value>;
}

type AnyReference = FunctionReference<FunctionKind, "public" | "internal">;
type Args = DefaultFunctionArgs;
type Run = (fn: AnyReference, args?: Args) => Promise<unknown>;
type ActionCtx = Record<"runQuery" | "runMutation" | "runAction", Run>;

export class Engine {
  readonly counters = newCounters();
  readonly faults = new Faults();
  readonly turns = new Turns();
  readonly folders = new Map<string, FunctionFolder>();
  readonly databases = new Map<string, Database>();
  /** Actions that are running. */
  readonly actions = new Set<Invocation>();
  events!: EngineEvents;
  /** The newest commit, in nanoseconds since 1970. */
  ts = BigInt(Date.now()) * 1_000_000n;

  private readonly context = new AsyncResource("LocalDeployment");
  private transaction: Transaction | null = null;
  private accessor!: Accessor;
  private convex!: ConvexGlobal;
  private journal: Journal | null = null;

  static async start(
    { functionsDir, components = OURS, data }: DeploymentOptions,
    log: (line: string) => void,
  ): Promise<Engine> {
    const engine = new Engine(log);
    const folders = Object.entries({ "": functionsDir, ...components });
    for (const [name, directory] of folders) {
      const folder = await FunctionFolder.load(directory, name, (fn, path) =>
        engine.wrap(fn, path),
      );
      engine.folders.set(name, folder);
    }
    engine.connect();
    if (data !== undefined) engine.restore(new Journal(data));
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
    const fn = this.folders.get(componentPath)?.find(udfPath);
    if (fn) return kindOf(fn);
    throw new Error(
      `There is no function "${udfPath}" in ${componentPath === "" ? "the app" : `the component "${componentPath}"`}.`,
    );
  }

  /** The function of a client's call. Throws, like a deployment, if a client cannot call it. */
  publicFunction(udfPath: string, kind: FunctionKind): FunctionPath {
    const fn = this.folders.get("")?.find(udfPath);
    if (fn?.isPublic && kindOf(fn) === kind) {
      return { componentPath: "", udfPath };
    }
    throw new Error(
      `Could not find public ${kind} for '${udfPath}'. Did you forget to export it, or is it internal?`,
    );
  }

  /** A call from a client, of a public function. */
  async callPublic(
    kind: FunctionKind,
    udfPath: string,
    args: JSONValue = {},
    identity: UserIdentity | null,
  ): Promise<Returned> {
    try {
      const path = this.publicFunction(udfPath, kind);
      return await this.call({ path, args: jsonToConvex(args), identity });
    } catch (error) {
      this.report(udfPath, error);
      throw error;
    }
  }

  /** A call from outside, of any function. */
  async call(call: Call): Promise<Returned> {
    this.counters.functionCalls++;
    switch (this.kindOf(call.path)) {
      case "query":
        return { value: await this.events.query(call), ts: this.ts };
      case "mutation":
        return await this.remotely(call.path, () => this.run(call));
      case "action":
        return await this.run(call);
    }
  }

  /** Runs a function's code. */
  async run(
    { path, args, identity }: Call,
    extras?: Extras,
  ): Promise<Returned> {
    const kind = this.kindOf(path);
    const invocation = new Invocation(kind, path.udfPath, identity, extras);
    if (kind === "query") this.counters.queryRuns++;
    try {
      const value = await this.perform(invocation, (accessor) =>
        accessor.fun(path, args),
      );
      return { value: value as Value, ts: invocation.ts };
    } finally {
      this.finish(invocation);
    }
  }

  /**
   * Runs an HTTP action until it has a response. When the body has ended, the
   * caller must `finish` the invocation.
   */
  async httpAction(invocation: Invocation, request: Request) {
    const { pathname } = new URL(request.url);
    const router = this.folders.get("")?.router;
    const found = router?.lookup(pathname, request.method as "GET");
    if (!found)
      return new Response("No matching routes found", { status: 404 });
    const { _handler: handler } = found[0] as unknown as {
      _handler: (ctx: ActionCtx, request: Request) => Promise<Response>;
    };
    let response!: Response;
    await this.perform(invocation, (accessor) =>
      accessor.action(async (ctx) => {
        response = await handler(this.wrapActionCtx(ctx, ""), request);
      }),
    );
    return response;
  }

  /** Runs code on behalf of an invocation, unless that is ended before. */
  private async perform<Result>(
    invocation: Invocation,
    code: (accessor: Accessor) => Promise<Result>,
  ): Promise<Result> {
    const { kind, identity, failed } = invocation;
    if (kind === "action") this.actions.add(invocation);
    const accessor =
      identity === null ? this.accessor : this.accessor.withIdentity(identity);
    const result = this.outside(() => invocation.run(() => code(accessor)));
    return await Promise.race([result, failed]);
  }

  finish(invocation: Invocation): void {
    invocation.over = true;
    this.actions.delete(invocation);
  }

  /** Calls a mutation over the network, which takes time and can lose the answer. */
  private async remotely<Result>(
    { udfPath }: FunctionPath,
    run: () => Promise<Result>,
  ): Promise<Result> {
    const delay = this.faults.settings.commitDelayMs;
    const travel = () =>
      new Promise((resolve) => setTimeout(resolve, delay / 2));
    if (delay > 0) await travel();
    const result = await run();
    if (delay > 0) await travel();
    this.faults.afterCommit(udfPath);
    return result;
  }

  /** Logs that something failed, and what it was. */
  report(what: string, error: unknown): void {
    const isOurs = error instanceof InjectedFault;
    const stack = error instanceof Error && !isOurs ? error.stack : undefined;
    this.log(`${what} failed: ${stack ?? describeError(error)}`);
  }

  /** Records a scheduled function's new state, in a separate transaction. */
  setState(job: Job, state: JobState): Promise<void> {
    return this.outside(() =>
      this.accessor.runInComponent(job.component, () => this.mark(job, state)),
    );
  }

  // --- What functions see ---------------------------------------------------

  private wrap(fn: RegisteredFunction, path: FunctionPath): RegisteredFunction {
    return {
      ...fn,
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
    const call = async (
      how: keyof ActionCtx,
      fn: AnyReference,
      args: Args = {},
    ): Promise<unknown> => {
      const path = pathOf(await createFunctionHandle(fn));
      checkTransferable(`Arguments of "${path.udfPath}"`, args);
      // An action that ends now, without waiting for this call, ends first.
      await new Promise((resolve) => setImmediate(resolve));
      const invocation = Invocation.current();
      if (invocation?.over) return await never();
      this.counters.functionCalls++;
      const make = () => ctx[how](fn, args);
      try {
        if (how === "runAction") return await make();
        if (how === "runMutation") return await this.remotely(path, make);
        const isOwn = path.componentPath === from;
        const identity = isOwn ? (invocation?.identity ?? null) : null;
        return await this.outside(() =>
          this.events.query({ path, args: args as Value, identity }),
        );
      } finally {
        if (invocation?.over) await never();
      }
    };
    return {
      ...ctx,
      runQuery: (fn, args) => call("runQuery", fn, args),
      runMutation: (fn, args) => call("runMutation", fn, args),
      runAction: (fn, args) => call("runAction", fn, args),
    };
  }

  // --- What `convex-test` does ----------------------------------------------

  private connect(): void {
    const app = this.folders.get("")!;
    const t = convexTest({
      schema: app.schema ?? undefined,
      modules: app.glob(),
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
    const { components, transactionManager } = this.convex;
    for (const [name, { db }] of Object.entries(components)) {
      const database = new Database(name, db, {
        reads: (range) => this.transaction?.reads.push(range),
        skipped: (bytes) =>
          transactionManager.getMetricsTracker()?.trackRead(bytes),
      });
      this.databases.set(name, database);
    }
    this.takeOverTransactions(transactionManager);
    this.takeOverSyscalls();
  }

  private takeOverTransactions(manager: TransactionManager): void {
    const begin = manager.begin.bind(manager);
    const commit = manager.commit.bind(manager);
    const rollback = manager.rollback.bind(manager);

    manager._lastCommitTs = this.ts;
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
      const writes = databases.flatMap((database) => database.pendingWrites());
      // What cannot be kept is not committed.
      if (writes.length > 0) this.keep(writes);
      this.ts = commit(false)!;
      for (const database of databases) database.apply(writes);
      if (invocation !== undefined) invocation.ts = this.ts;
      if (path !== null && writes.some(({ id }) => id !== job?.doc._id)) {
        this.counters.commits++;
      }
      if (writes.length > 0) {
        this.outside(() => this.events.committed(writes));
      }
      this.endTransaction();
      return this.ts;
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

  private endTransaction(): void {
    this.transaction = null;
    for (const database of this.databases.values()) database.closeQueries();
    this.turns.release();
  }

  private count(figures: readonly Figure[]): void {
    const metrics = this.convex.transactionManager
      .getMetricsTracker()!
      .getTransactionMetrics();
    for (const name of figures) this.counters[name] += metrics[name].used;
  }

  /** Records a scheduled function's new state, in the running transaction. */
  private mark({ component, doc: { _id: id } }: Job, kind: JobState): void {
    const { db } = this.convex.components[component]!;
    const { state } = db.get(SCHEDULED, id) as JobDoc;
    const isOpen = state.kind === "pending" || state.kind === "inProgress";
    if (!isOpen) throw new JobCanceled();
    const end = kind === "inProgress" ? {} : { completedTime: clock.now() };
    db.patch(SCHEDULED, id, { state: { kind }, ...end });
  }

  private takeOverSyscalls(): void {
    const original = this.convex.asyncSyscall.bind(this.convex);
    this.convex.asyncSyscall = async (op, jsonArgs) => {
      if (Invocation.current()?.over) return await never();
      if (op !== "1.0/schedule") return await original(op, jsonArgs);
      const caller = await original("1.0/getFunctionMetadata", "{}");
      const { componentPath } = JSON.parse(caller) as FunctionPath;
      const handle = await original("1.0/createFunctionHandle", jsonArgs);
      const path = pathOf(JSON.parse(handle) as string);
      return JSON.stringify(this.schedule(componentPath, path, jsonArgs));
    };
  }

  /** A job is a document. It is run once the transaction has committed. Returns its id. */
  private schedule(from: string, path: FunctionPath, jsonArgs: string): string {
    const { args, ts } = JSON.parse(jsonArgs) as {
      args: JSONValue;
      ts: number;
    };
    const itsArgs = jsonToConvex(args);
    checkTransferable(`Arguments of "${path.udfPath}"`, itsArgs);
    // Throws here, and not only when it is due, if there is no such function.
    this.kindOf(path);
    return this.convex.components[from]!.db.insert(SCHEDULED, {
      ...{ name: path.udfPath, componentPath: path.componentPath },
      args: [itsArgs],
      scheduledTime: ts * 1000,
      state: { kind: "pending" },
    });
  }

  // --- What is kept -----------------------------------------------------------

  private keep(writes: Write[]): void {
    this.journal?.append({
      at: Math.max(clock.now(), Number(this.ts / 1_000_000n)),
      writes: writes.map(({ component, id, after }) => ({
        component,
        id,
        doc: after === null ? null : convexToJson(after as Value),
      })),
    });
  }

  private restore(journal: Journal): void {
    this.journal = journal;
    for (const { at, writes } of journal.entries) {
      for (const { component, id, doc } of writes) {
        const database = this.databases.get(component);
        database?.restore(id, jsonToConvex(doc) as Doc | null);
      }
      // Clients have seen the time of the last commit; the next one comes after it.
      const after = BigInt(at + 1) * 1_000_000n;
      if (after > this.ts) this.ts = after;
    }
    this.convex.transactionManager._lastCommitTs = this.ts;
  }
}

/** The state behind a `convexTest` accessor, which enters it as an async context at every call. */
function stateOf(accessor: Accessor): ConvexGlobal {
  const entered: unknown[] = [];
  const { prototype } = AsyncLocalStorage;
  // eslint-disable-next-line @typescript-eslint/unbound-method -- put back below, and called with its `this`
  const run = prototype.run as (...args: unknown[]) => unknown;
  prototype.run = function (...args: unknown[]) {
    entered.push(args[0]);
    return run.apply(this, args) as never;
  };
  void accessor.finishInProgressScheduledFunctions();
  prototype.run = run as typeof prototype.run;
  return entered[0] as ConvexGlobal;
}
