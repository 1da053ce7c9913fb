import { getDocumentSize, jsonToConvex, type Value } from "convex/values";
import {
  Index,
  isWithin,
  tableOf,
  type Bound,
  type Doc,
  type Write,
} from "./indexes.js";
import type { RangeRead } from "./reads.js";

type Order = "asc" | "desc";

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
}

interface Resolved {
  sortedDocs: Doc[];
  filterFn: (doc: Doc) => boolean;
  limit: number | null;
  fieldPathsToSortBy: string[];
  order: Order;
}

/** The parts of the database inside `convex-test` that are used here. */
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
  /** A range is being read. Its `upTo` changes as the function reads on. */
  reads(range: RangeRead): void;
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

const CREATION_ORDER: readonly string[] = ["_creationTime", "_id"];

/**
 * The documents of one component: answers the queries of `convex-test` from
 * indexes, reads no further than a function does, and notes what was read.
 */
export class Database {
  /** By table, those that have been used. */
  private readonly indexes = new Map<string, Index[]>();
  private readonly cursors = new Map<number, Cursor>();
  private nextCursor = 1;
  private readonly resolve: DatabaseFake["_resolveQuerySource"];

  constructor(
    private readonly component: string,
    private readonly fake: DatabaseFake,
    private readonly observer: Observer,
  ) {
    this.resolve = fake._resolveQuerySource.bind(fake);
    // Then `convex-test` only checks a query and compiles its filters.
    fake._iterateDocs = () => {};
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

  /** Takes over what an earlier process committed; null: it deleted the document. */
  restore(id: string, doc: Doc | null): void {
    const { fake } = this;
    // No id is given out twice, not even a deleted document's.
    fake._nextDocId = Math.max(fake._nextDocId, parseInt(id, 10) + 1);
    if (doc === null) {
      delete fake._documents[id];
      return;
    }
    fake._documents[id] = doc;
    fake._lastCreationTime = Math.max(
      fake._lastCreationTime,
      doc._creationTime,
    );
  }

  committed(id: string): Doc | undefined {
    return this.fake._documents[id];
  }

  /** The committed documents of a table. */
  documents(table: string): Doc[] {
    const docs = Object.values(this.fake._documents);
    return docs.filter(({ _id }) => tableOf(_id) === table);
  }

  /** The document as the running transaction sees it. */
  current(id: string): Doc | null {
    return this.fake.get(undefined, id);
  }

  closeCursors(): void {
    this.cursors.clear();
  }

  /** What the running transaction would write if it committed now. */
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
    const writes = pending
      .filter(({ component }) => component === this.component)
      .map((write) => ({
        ...write,
        after: this.fake._documents[write.id] ?? null,
      }))
      .filter(({ before, after }) => before !== null || after !== null);
    for (const write of writes) {
      for (const index of this.indexes.get(write.table) ?? []) {
        index.apply(write);
      }
    }
    return writes;
  }

  private index(table: string, fields: readonly string[]): Index {
    const indexes = this.indexes.get(table) ?? [];
    this.indexes.set(table, indexes);
    let index = indexes.find((one) => one.fields.join() === fields.join());
    if (index === undefined) {
      index = new Index(fields, this.documents(table));
      indexes.push(index);
    }
    return index;
  }

  private open(query: SerializedQuery): { cursor: Cursor; resolved: Resolved } {
    const { source } = query;
    const resolved = this.resolve(query);
    const isScan = source.type === "FullTableScan";
    const table = isScan ? source.tableName : source.indexName.split(".")[0]!;
    const fields = isScan ? CREATION_ORDER : resolved.fieldPathsToSortBy;
    const bounds = isScan ? [] : source.range.map(decodeBound);
    const { docs, first, end } = this.inRange(table, fields, bounds);
    const { order } = resolved;
    const { component } = this;
    const read: RangeRead = {
      ...{ component, table, fields, order, bounds },
      upTo: "nothing",
    };
    this.observer.reads(read);
    return {
      resolved,
      cursor: {
        docs,
        first,
        end,
        step: order === "asc" ? 1 : -1,
        position: order === "asc" ? first : end - 1,
        remaining: resolved.limit ?? Infinity,
        filter: resolved.filterFn,
        read,
      },
    };
  }

  private inRange(
    table: string,
    fields: readonly string[],
    bounds: readonly Bound[],
  ): { docs: readonly Doc[]; first: number; end: number } {
    const index = this.index(table, fields);
    const { first, end } = index.range(bounds);
    // What the running transaction has written to the table so far.
    const pending = new Map(
      this.fake._writes
        .flatMap((layer) => Object.entries(layer))
        .filter(([id]) => tableOf(id) === table),
    );
    if (pending.size === 0) return { docs: index.docs, first, end };
    const { docs } = new Index(fields, [
      ...index.docs.slice(first, end).filter(({ _id }) => !pending.has(_id)),
      ...[...pending.values()].filter(
        (doc) => doc !== null && isWithin(doc, bounds),
      ),
    ] as Doc[]);
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

function decodeBound(bound: Omit<Bound, "value"> & { value: unknown }): Bound {
  const { value } = bound;
  const isUndefined =
    typeof value === "object" && value !== null && "$undefined" in value;
  return {
    ...bound,
    value: isUndefined ? undefined : jsonToConvex(value as never),
  };
}
