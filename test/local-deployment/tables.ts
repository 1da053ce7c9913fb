import { compareValues, type Value } from "convex/values";

export type Doc = Record<string, Value | undefined> & {
  _id: string;
  _creationTime: number;
};

/** One bound of an index range, as `withIndex` serializes it, its value decoded. */
export interface Bound {
  type: "Eq" | "Gt" | "Gte" | "Lt" | "Lte";
  fieldPath: string;
  value: Value | undefined;
}

/** What one committed transaction did to one document. `null`: not there. */
export interface Write {
  component: string;
  table: string;
  id: string;
  before: Doc | null;
  after: Doc | null;
}

/** The value at a path such as `author.name`; `undefined` where there is none. */
export function fieldOf(doc: Doc, path: string): Value | undefined {
  if (!path.includes(".")) return doc[path];
  let value: Value | undefined = doc;
  for (const part of path.split(".")) {
    if (typeof value !== "object" || value === null) return undefined;
    value = (value as Record<string, Value | undefined>)[part];
  }
  return value;
}

export function isWithin(doc: Doc, bounds: readonly Bound[]): boolean {
  return sideOf(doc, bounds) === 0;
}

/**
 * Where a document lies: before (-1), within (0) or after (1) an index range.
 * Bounds come as equalities on the index's first fields, then at most a lower
 * and an upper bound on the next one, so the three follow one another.
 */
function sideOf(doc: Doc, bounds: readonly Bound[]): -1 | 0 | 1 {
  for (const bound of bounds) {
    const order = compareValues(fieldOf(doc, bound.fieldPath), bound.value);
    const tooLow = bound.type === "Gt" ? order <= 0 : order < 0;
    const tooHigh = bound.type === "Lt" ? order >= 0 : order > 0;
    if (tooLow && bound.type !== "Lt" && bound.type !== "Lte") return -1;
    if (tooHigh && bound.type !== "Gt" && bound.type !== "Gte") return 1;
  }
  return 0;
}

export function compareBy(fields: readonly string[], a: Doc, b: Doc): number {
  for (const field of fields) {
    const order = compareValues(fieldOf(a, field), fieldOf(b, field));
    if (order !== 0) return order;
  }
  return 0;
}

/** Ids as `convex-test` makes them are digits followed by the table's name. */
export function tableOf(id: string): string {
  return id.replace(/^[0-9]+/, "");
}

/** Puts a document into its place among others that are in order. */
export function insertInOrder(
  fields: readonly string[],
  docs: Doc[],
  doc: Doc,
): void {
  docs.splice(positionOf(fields, docs, doc), 0, doc);
}

/** Where a document is, or would be, among others that are in order. */
function positionOf(
  fields: readonly string[],
  docs: readonly Doc[],
  doc: Doc,
): number {
  return partition(docs, (other) => compareBy(fields, other, doc) >= 0);
}

/** The first position at which the test holds; it holds for all that follow. */
function partition(docs: readonly Doc[], test: (doc: Doc) => boolean): number {
  let low = 0;
  let high = docs.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (test(docs[middle]!)) high = middle;
    else low = middle + 1;
  }
  return low;
}

/** The documents of one table in the order of one index. */
export class SortedIndex {
  readonly docs: Doc[];
  readonly fields: readonly string[];

  constructor(fields: readonly string[], docs: Iterable<Doc>) {
    this.fields = fields;
    this.docs = [...docs].sort((a, b) => compareBy(fields, a, b));
  }

  insert(doc: Doc): void {
    insertInOrder(this.fields, this.docs, doc);
  }

  remove(doc: Doc): void {
    const position = positionOf(this.fields, this.docs, doc);
    if (this.docs[position]?._id === doc._id) this.docs.splice(position, 1);
  }

  /** The positions of the documents within the bounds: from `first` up to, not including, `end`. */
  range(bounds: readonly Bound[]): { first: number; end: number } {
    const first = partition(this.docs, (doc) => sideOf(doc, bounds) >= 0);
    const end = partition(this.docs, (doc) => sideOf(doc, bounds) > 0);
    return { first, end };
  }
}

/** The committed documents of one table, and its indexes once they are used. */
export class Table {
  private readonly docs = new Map<string, Doc>();
  private readonly indexes = new Map<string, SortedIndex>();

  all(): IterableIterator<Doc> {
    return this.docs.values();
  }

  index(fields: readonly string[]): SortedIndex {
    const name = fields.join();
    let index = this.indexes.get(name);
    if (index === undefined) {
      index = new SortedIndex(fields, this.docs.values());
      this.indexes.set(name, index);
    }
    return index;
  }

  apply(write: Write): void {
    if (write.before !== null) {
      this.docs.delete(write.id);
      for (const index of this.indexes.values()) index.remove(write.before);
    }
    if (write.after !== null) {
      this.docs.set(write.id, write.after);
      for (const index of this.indexes.values()) index.insert(write.after);
    }
  }
}
