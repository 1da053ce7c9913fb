import { getDocumentSize, jsonToConvex, type Value } from "convex/values";
import {
  firstOf,
  Groups,
  keyIn,
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

/**
 * The documents of one component. `convex-test` evaluates queries. This class passes it
 * only the documents that a query could match, stops reading when the function does, and
 * records what was read.
 */
export class Database {
  /** The documents of each table by the value of a field, for the fields that queries have asked for. */
  private readonly indexes = new Map<
    string,
    { table: string; field: string; docs: Groups<Doc> }
  >();
  private readonly running = new Map<number, Iterator<Doc>>();
  private nextQuery = 1;
  private readonly resolve: DatabaseFake["_resolveQuerySource"];
  /** The bounds of the query that is being resolved. */
  private bounds: readonly Bound[] = [];

  constructor(
    private readonly component: string,
    private readonly fake: DatabaseFake,
    private readonly observer: Observer,
  ) {
    this.resolve = fake._resolveQuerySource.bind(fake);
    const get = fake.get.bind(fake);
    fake.get = (table, id) => {
      observer.reads({
        ...{ component, table: tableOf(id), fields: ["_id"], order: "asc" },
        bounds: [{ type: "Eq", fieldPath: "_id", value: id }],
        upTo: "everything",
      });
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
      const { read, resolved } = this.open(query);
      read.upTo = "everything";
      return resolved;
    };
    fake.startQuery = (query) => {
      this.running.set(this.nextQuery, this.documentsOf(query));
      return this.nextQuery++;
    };
    fake.queryNext = (id) => {
      const next = this.running.get(id)?.next();
      if (next === undefined) {
        throw new Error("The query is closed: its transaction has ended.");
      }
      return next.done ? { value: null, done: true } : { ...next, done: false };
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

  closeQueries(): void {
    this.running.clear();
  }

  /** What the running transaction would write if it committed now. */
  pendingWrites(): Write[] {
    return Object.entries(this.fake._writes[0] ?? {})
      .map(([id, after]) => ({
        component: this.component,
        table: tableOf(id),
        id,
        before: this.fake._documents[id] ?? null,
        after,
      }))
      .filter(({ before, after }) => before !== null || after !== null);
  }

  /** Brings the indexes up to date with a commit. */
  apply(writes: readonly Write[]): void {
    for (const { component, table, before, after } of writes) {
      if (component !== this.component) continue;
      for (const index of this.indexes.values()) {
        if (index.table !== table) continue;
        const { field, docs } = index;
        if (before !== null) docs.remove(keyIn(before, field), before);
        if (after !== null) docs.add(keyIn(after, field), after);
      }
    }
  }

  private open(query: SerializedQuery) {
    const { source } = query;
    const isScan = source.type === "FullTableScan";
    const table = isScan ? source.tableName : source.indexName.split(".")[0]!;
    const bounds = isScan ? [] : source.range.map(decodeBound);
    this.bounds = bounds;
    const resolved = this.resolve(query);
    const { fieldPathsToSortBy: fields, order } = resolved;
    const { component } = this;
    const read: RangeRead = {
      ...{ component, table, fields, order, bounds },
      upTo: "nothing",
    };
    this.observer.reads(read);
    return { resolved, read };
  }

  /** What a query finds, one by one, up to its limit. */
  private *documentsOf(query: SerializedQuery): Generator<Doc, void> {
    const { read, resolved } = this.open(query);
    let left = resolved.limit ?? Infinity;
    for (const doc of resolved.sortedDocs) {
      if (left === 0) return;
      read.upTo = doc;
      if (resolved.filterFn(doc)) {
        left--;
        yield doc;
      } else {
        this.observer.skipped(getDocumentSize(doc as Record<string, Value>));
      }
    }
    if (left > 0) read.upTo = "everything";
  }

  /** The documents that a query may find, as the running transaction sees them. */
  private candidates(table: string): Iterable<Doc> {
    const { field, key } = firstOf(this.bounds);
    const docs = new Map<string, Doc>();
    for (const doc of this.index(table, field).of(key)) docs.set(doc._id, doc);
    for (const layer of this.fake._writes) {
      for (const [id, doc] of Object.entries(layer)) {
        if (tableOf(id) !== table) continue;
        if (doc === null) docs.delete(id);
        else docs.set(id, doc);
      }
    }
    return docs.values();
  }

  private index(table: string, field: string): Groups<Doc> {
    const name = `${table}|${field}`;
    const known = this.indexes.get(name);
    if (known !== undefined) return known.docs;
    const docs = new Groups<Doc>();
    for (const doc of this.documents(table)) docs.add(keyIn(doc, field), doc);
    this.indexes.set(name, { table, field, docs });
    return docs;
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
