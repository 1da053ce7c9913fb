import { getDocumentSize, jsonToConvex, type Value } from "convex/values";
import {
  Buckets,
  documentRead,
  tableOf,
  type Bound,
  type Doc,
  type RangeRead,
  type Write,
} from "./documents.js";
import { checkDocument } from "./value-limits.js";

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
  _addWrite(id: string, doc: Doc | null): void;
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
  /** Documents that may still be returned. */
  remaining: number;
  filter: (doc: Doc) => boolean;
  read: RangeRead;
}

/**
 * The documents of one component. `convex-test` evaluates queries. This class passes it
 * only the documents that a query could match, stops reading when the function does, and
 * records what was read.
 */
export class Database {
  /** By table and field, those that queries have asked for. */
  private readonly buckets = new Map<string, Map<string | null, Buckets>>();
  private readonly cursors = new Map<number, Cursor>();
  private nextCursor = 1;
  private readonly resolve: DatabaseFake["_resolveQuerySource"];
  /** The first bound of the query that is being resolved. */
  private first: Bound | undefined;

  constructor(
    private readonly component: string,
    private readonly fake: DatabaseFake,
    private readonly observer: Observer,
  ) {
    this.resolve = fake._resolveQuerySource.bind(fake);
    const get = fake.get.bind(fake);
    fake.get = (table, id) => {
      observer.reads(documentRead(component, id));
      return get(table, id);
    };
    const addWrite = fake._addWrite.bind(fake);
    fake._addWrite = (id, doc) => {
      if (doc !== null) checkDocument(tableOf(id), doc);
      addWrite(id, doc);
    };
    fake._iterateDocs = (table, visit) => {
      for (const doc of this.candidates(table)) visit(doc);
    };
    fake._resolveQuerySource = (query) => {
      const { cursor, resolved } = this.open(query);
      cursor.read.upTo = "everything";
      return resolved;
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

  /** Brings the buckets up to date with a commit. Returns the writes of this component as they were committed. */
  apply(pending: readonly Write[]): Write[] {
    const writes = pending
      .filter(({ component }) => component === this.component)
      .map((write) => ({
        ...write,
        after: this.fake._documents[write.id] ?? null,
      }))
      .filter(({ before, after }) => before !== null || after !== null);
    for (const write of writes) {
      for (const buckets of this.buckets.get(write.table)?.values() ?? []) {
        buckets.apply(write);
      }
    }
    return writes;
  }

  private open(query: SerializedQuery): { cursor: Cursor; resolved: Resolved } {
    const { source } = query;
    const isScan = source.type === "FullTableScan";
    const table = isScan ? source.tableName : source.indexName.split(".")[0]!;
    const bounds = isScan ? [] : source.range.map(decodeBound);
    this.first = bounds[0];
    const resolved = this.resolve(query);
    const { sortedDocs: docs, filterFn: filter, limit, order } = resolved;
    const { component } = this;
    const fields = resolved.fieldPathsToSortBy;
    const read: RangeRead = {
      ...{ component, table, fields, order, bounds },
      upTo: "nothing",
    };
    this.observer.reads(read);
    const remaining = limit ?? Infinity;
    return { resolved, cursor: { docs, position: 0, remaining, filter, read } };
  }

  /** The documents that a query may find, as the running transaction sees them. */
  private candidates(table: string): Iterable<Doc> {
    const { first } = this;
    const field = first?.type === "Eq" ? first.fieldPath : null;
    const found = this.bucketsOf(table, field).get(
      field === null ? undefined : first?.value,
    );
    const docs = new Map(found);
    for (const layer of this.fake._writes) {
      for (const [id, doc] of Object.entries(layer)) {
        if (tableOf(id) !== table) continue;
        if (doc === null) docs.delete(id);
        else docs.set(id, doc);
      }
    }
    return docs.values();
  }

  private bucketsOf(table: string, field: string | null): Buckets {
    const ofTable =
      this.buckets.get(table) ?? new Map<string | null, Buckets>();
    this.buckets.set(table, ofTable);
    const buckets =
      ofTable.get(field) ?? new Buckets(field, this.documents(table));
    ofTable.set(field, buckets);
    return buckets;
  }

  private advance(cursor: Cursor): Doc | null {
    while (cursor.remaining > 0) {
      const doc = cursor.docs[cursor.position++];
      cursor.read.upTo = doc ?? "everything";
      if (doc === undefined) return null;
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
