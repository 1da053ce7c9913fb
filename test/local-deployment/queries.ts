import { convexToJson, jsonToConvex, type Value } from "convex/values";
import type { Engine } from "./engine.js";
import { describeError } from "./failure.js";
import type { Call } from "./functions.js";
import { Readers, type RangeRead, type Write } from "./documents.js";

/** The result of a query. A value is kept as JSON text: it is sent to many, and compared. */
export type Outcome =
  { ok: true; json: string } | { ok: false; error: unknown };

/** Called when a query's result changes, or is computed for the first time. */
type Subscriber = () => void;

/** A query with its arguments and the caller's identity. Callers with the same ones share a run. */
export class CachedQuery {
  readonly subscribers = new Set<Subscriber>();
  /** The newest outcome. The same object as long as the result stays the same. */
  outcome: Outcome | null = null;
  /** Whether nothing that the outcome was read from has changed since. */
  isValid = false;
  running: Promise<Outcome> | null = null;

  constructor(
    readonly key: string,
    readonly call: Call,
  ) {}
}

/** The results of queries. Each is kept until a commit changes what it was read from. */
export class QueryCache {
  private readonly entries = new Map<string, CachedQuery>();
  private readonly readers = new Readers<CachedQuery>();
  /** Queries that have subscribers but no valid result. */
  private readonly stale = new Set<CachedQuery>();

  constructor(private readonly engine: Engine) {}

  subscribe(call: Call, subscriber: Subscriber): CachedQuery {
    const entry = this.entry(call);
    entry.subscribers.add(subscriber);
    if (!entry.isValid) this.stale.add(entry);
    return entry;
  }

  unsubscribe(entry: CachedQuery, subscriber: Subscriber): void {
    entry.subscribers.delete(subscriber);
    if (entry.subscribers.size > 0) return;
    this.stale.delete(entry);
    if (!entry.isValid && entry.running === null) this.forget(entry);
  }

  /** The result of a query now, from the cache if it is still right. */
  async call(call: Call): Promise<Value> {
    let entry = this.entry(call);
    // A run that is under way may have read before the caller asked. Its result
    // counts only if nothing that it read has changed when it is done.
    while (entry.running !== null) {
      await entry.running;
      entry = this.entry(call);
    }
    const outcome = entry.isValid ? entry.outcome! : await this.run(entry);
    if (!outcome.ok) throw outcome.error;
    return jsonToConvex(JSON.parse(outcome.json) as never);
  }

  /** Forgets the results that a commit made wrong. */
  invalidate(writes: readonly Write[]): void {
    for (const entry of this.readers.of(writes)) {
      this.readers.remove(entry);
      entry.isValid = false;
      if (entry.subscribers.size > 0) this.stale.add(entry);
      else if (entry.running === null) this.forget(entry);
    }
  }

  hasStale(): boolean {
    return this.stale.size > 0;
  }

  /** Runs, once, each subscribed query whose result is missing or wrong. */
  async refresh(): Promise<void> {
    await Promise.all(
      [...this.stale].map((entry) => entry.running ?? this.run(entry)),
    );
  }

  private entry(call: Call): CachedQuery {
    const { componentPath, udfPath } = call.path;
    const args = convexToJson(call.args);
    const key = JSON.stringify([componentPath, udfPath, args, call.identity]);
    const entry = this.entries.get(key) ?? new CachedQuery(key, call);
    this.entries.set(key, entry);
    return entry;
  }

  private forget(entry: CachedQuery): void {
    this.readers.remove(entry);
    this.entries.delete(entry.key);
  }

  private async run(entry: CachedQuery): Promise<Outcome> {
    entry.running = this.compute(entry);
    try {
      return await entry.running;
    } finally {
      entry.running = null;
      if (!entry.isValid && entry.subscribers.size === 0) this.forget(entry);
    }
  }

  private async compute(entry: CachedQuery): Promise<Outcome> {
    const isUpdate = entry.outcome !== null;
    let outcome: Outcome;
    let hasRead = false;
    const onReads = (reads: RangeRead[]) => {
      this.readers.set(entry, reads);
      entry.isValid = true;
      hasRead = true;
    };
    try {
      const { value } = await this.engine.run(entry.call, { onReads });
      outcome = { ok: true, json: JSON.stringify(convexToJson(value)) };
    } catch (error) {
      this.engine.report(entry.call.path.udfPath, error);
      outcome = { ok: false, error };
      // It failed before it read anything, so no commit will change the result.
      if (!hasRead) entry.isValid = true;
    }
    if (isUpdate) {
      this.engine.counters.functionCalls += entry.subscribers.size;
    }
    if (entry.outcome === null || !isSame(entry.outcome, outcome)) {
      entry.outcome = outcome;
      for (const subscriber of entry.subscribers) subscriber();
    }
    if (entry.isValid) this.stale.delete(entry);
    return outcome;
  }
}

function isSame(a: Outcome, b: Outcome): boolean {
  if (a.ok) return b.ok && a.json === b.json;
  return !b.ok && describeError(a.error) === describeError(b.error);
}
