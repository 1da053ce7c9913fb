import { getDocumentSize, jsonToConvex, type Value } from "convex/values";
import type { RangeRead, ReadSet } from "./reads.js";
import {
  insertInOrder,
  isWithin,
  Table,
  tableOf,
  type Bound,
  type Doc,
  type Write,
} from "./tables.js";

/** A query as `ctx.db.query(…)` serializes it. */
interface SerializedQuery {
  source:
    | { type: "FullTableScan"; tableName: string; order: Order | null }
    | {
        type: "IndexRange";
        indexName: string;
        order: Order | null;
        range: { type: Bound["type"]; fieldPath: string; value: unknown }[];
      };

  operators: unknown[];
}

type Order = "asc" | "desc";

interface Resolved {
  sortedDocs: Doc[];
  filterFn: (doc: Doc) => boolean;
  limit: number | null;
  fieldPathsToSortBy: string[];
  order: Order;
}

/** What is used of the database inside `convex-test`. */
export interface DatabaseFake {
  _documents: Record<string, Doc>;
  _nextDocId: number;
  _lastCreationTime: number;
  _writes: Record<string, Doc | null>[];
  _iterateDocs(table: string, visit: (doc: Doc) => void): void;
  _resolveQuerySource(query: SerializedQuery): Resolved;
  startQuery(query: SerializedQuery): number;
  queryNext(queryId: number): { value: Doc | null; done: boolean };
  get(table: string | undefined, id: string): Doc | null;
  insert(table: string, value: Record<string, unknown>): string;
  patch(table: string, id: string, value: Record<string, unknown>): void;
}

interface Observer {
  /** Where the running transaction notes what it reads. */
  reads(): ReadSet | null;
  /** A document was read and filtered out. */
  skipped(bytes: number): void;
}

/** Where a query stands in the documents that it goes through. */
interface Cursor {
  docs: readonly Doc[];
  position: number;
  step: 1 | -1;
  first: number;
  end: number;
  /** Documents that may still be returned. */
  remaining: number;
  filter: (doc: Doc) => boolean;
  read: RangeRead;
}

const EVERYTHING: readonly string[] = ["_creationTime", "_id"];

/**
 * The documents of one component: answers the queries of `convex-test` from
 * indexes, reads no further than a function does, and notes what was read.
 */
export class Database {
  private readonly component: string;
  private readonly fake: DatabaseFake;
  private readonly observer: Observer;
  private readonly tables = new Map<string, Table>();
  private readonly cursors = new Map<number, Cursor>();
  private nextCursor = 1;
  private readonly resolve: DatabaseFake["_resolveQuerySource"];
  /** While `convex-test` only checks a query and compiles its filters. */
  private hidesDocuments = false;

  constructor(component: string, fake: DatabaseFake, observer: Observer) {
    this.component = component;
    this.fake = fake;
    this.observer = observer;
    this.resolve = fake._resolveQuerySource.bind(fake);
    fake._iterateDocs = (table, visit) => {
      if (!this.hidesDocuments) this.documents(table).forEach(visit);
    };
    fake._resolveQuerySource = (query) => {
      const { cursor, resolved } = this.open(query);
      cursor.read.upTo = "everything";
      const docs = cursor.docs.slice(cursor.first, cursor.end);
      if (cursor.step === -1) docs.reverse();
      return { ...resolved, sortedDocs: docs };
    };
    fake.startQuery = (query) => {
      const id = this.nextCursor++;
      this.cursors.set(id, this.open(query).cursor);
      return id;
    };
    fake.queryNext = (id) => {
      const cursor = this.cursors.get(id);
      if (cursor === undefined) {
        throw new Error("The query is closed: its transaction has ended.");
      }
      const doc = this.advance(cursor);
      return { value: doc, done: doc === null };
    };
  }

  /**
   * Takes over what an earlier process had committed.
   *
   * @param ids All ids that were ever given out, those of deleted documents too.
   */
  restore(docs: Iterable<Doc>, ids: Iterable<string>): void {
    const { fake } = this;
    for (const doc of docs) {
      fake._documents[doc._id] = doc;
      fake._lastCreationTime = Math.max(
        fake._lastCreationTime,
        doc._creationTime,
      );
      const table = tableOf(doc._id);
      this.table(table).apply({
        component: this.component,
        table,
        id: doc._id,
        before: null,
        after: doc,
      });
    }
    for (const id of ids) {
      fake._nextDocId = Math.max(fake._nextDocId, parseInt(id, 10) + 1);
    }
  }

  has(id: string): boolean {
    return this.fake._documents[id] !== undefined;
  }

  /** The document as the running transaction sees it. */
  current(id: string): Doc | null {
    return this.fake.get(undefined, id);
  }

  closeCursors(): void {
    this.cursors.clear();
  }

  /** What the running transaction would write, were it to commit now. */
  pendingWrites(): Write[] {
    return Object.entries(this.fake._writes[0] ?? {}).map(([id, after]) => ({
      component: this.component,
      table: tableOf(id),
      id,
      before: this.fake._documents[id] ?? null,
      after,
    }));
  }

  /** Brings the indexes up to date with a commit. Returns the writes of this component as they were committed. */
  apply(pending: readonly Write[]): Write[] {
    const writes: Write[] = [];
    for (const write of pending) {
      if (write.component !== this.component) continue;
      const committed = {
        ...write,
        after: this.fake._documents[write.id] ?? null,
      };
      if (committed.before === null && committed.after === null) continue;
      this.table(write.table).apply(committed);
      writes.push(committed);
    }
    return writes;
  }

  private table(name: string): Table {
    let table = this.tables.get(name);
    if (table === undefined) {
      table = new Table();
      this.tables.set(name, table);
    }
    return table;
  }

  /** What the running transaction has written to a table so far. */
  private pending(table: string): Map<string, Doc | null> {
    const pending = new Map<string, Doc | null>();
    for (const layer of this.fake._writes) {
      for (const [id, doc] of Object.entries(layer)) {
        if (tableOf(id) === table) pending.set(id, doc);
      }
    }
    return pending;
  }

  private documents(table: string): Doc[] {
    const pending = this.pending(table);
    const docs = [...this.table(table).all()].filter(
      (doc) => !pending.has(doc._id),
    );
    for (const doc of pending.values()) if (doc !== null) docs.push(doc);
    return docs;
  }

  private open(query: SerializedQuery): { cursor: Cursor; resolved: Resolved } {
    const { source } = query;
    this.hidesDocuments = true;
    let resolved: Resolved;
    try {
      resolved = this.resolve(query);
    } finally {
      this.hidesDocuments = false;
    }
    const isScan = source.type === "FullTableScan";
    const table = isScan ? source.tableName : tableOfIndex(source.indexName);
    const fields = isScan ? EVERYTHING : resolved.fieldPathsToSortBy;
    const bounds = isScan ? [] : source.range.map(decodeBound);
    const { docs, first, end } = this.inRange(table, fields, bounds);
    const read: RangeRead = {
      component: this.component,
      table,
      fields,
      order: resolved.order,
      bounds,
      upTo: "nothing",
    };
    this.observer.reads()?.addRange(read);
    const ascending = resolved.order === "asc";
    return {
      resolved,
      cursor: {
        docs,
        first,
        end,
        step: ascending ? 1 : -1,
        position: ascending ? first : end - 1,
        remaining: resolved.limit ?? Infinity,
        filter: resolved.filterFn,
        read,
      },
    };
  }

  private inRange(
    tableName: string,
    fields: readonly string[],
    bounds: readonly Bound[],
  ): { docs: readonly Doc[]; first: number; end: number } {
    const index = this.table(tableName).index(fields);
    const { first, end } = index.range(bounds);
    const pending = this.pending(tableName);
    if (pending.size === 0) return { docs: index.docs, first, end };
    const docs = index.docs
      .slice(first, end)
      .filter((doc) => !pending.has(doc._id));
    for (const doc of pending.values()) {
      if (doc !== null && isWithin(doc, bounds)) {
        insertInOrder(fields, docs, doc);
      }
    }
    return { docs, first: 0, end: docs.length };
  }

  private advance(cursor: Cursor): Doc | null {
    while (cursor.remaining > 0) {
      if (cursor.position < cursor.first || cursor.position >= cursor.end) {
        cursor.read.upTo = "everything";
        return null;
      }
      const doc = cursor.docs[cursor.position]!;
      cursor.position += cursor.step;
      cursor.read.upTo = doc;
      if (cursor.filter(doc)) {
        cursor.remaining--;
        return doc;
      }
      this.observer.skipped(getDocumentSize(doc as Record<string, Value>));
    }
    return null;
  }
}

function tableOfIndex(indexName: string): string {
  return indexName.split(".")[0]!;
}

function decodeBound(bound: {
  type: Bound["type"];
  fieldPath: string;
  value: unknown;
}): Bound {
  const { type, fieldPath, value } = bound;
  const isUndefined =
    typeof value === "object" && value !== null && "$undefined" in value;
  return {
    type,
    fieldPath,
    value: isUndefined
      ? undefined
      : jsonToConvex(value as Parameters<typeof jsonToConvex>[0]),
  };
}
