import { compareValues, type Value } from "convex/values";

export type Doc = Record<string, Value | undefined> & {
  _id: string;
  _creationTime: number;
};

/** One bound of an index range, as `withIndex` serializes it, with its value decoded. */
export interface Bound {
  type: "Eq" | "Gt" | "Gte" | "Lt" | "Lte";
  fieldPath: string;
  value: Value | undefined;
}

/** What one committed transaction did to one document. `null`: there is none. */
export interface Write {
  component: string;
  table: string;
  id: string;
  before: Doc | null;
  after: Doc | null;
}

/** The value at a path such as `author.name`. */
export function fieldOf(doc: Doc, path: string): Value | undefined {
  if (!path.includes(".")) return doc[path];
  let value: unknown = doc;
  for (const part of path.split(".")) {
    value = (value as Record<string, unknown> | null | undefined)?.[part];
  }
  return value as Value | undefined;
}

export function isWithin(doc: Doc, bounds: readonly Bound[]): boolean {
  return sideOf(doc, bounds) === 0;
}

/**
 * Whether a document lies before (-1), within (0) or after (1) an index range.
 * Bounds are equalities on the index's first fields, then at most a lower and
 * an upper bound on the next one, so the documents within are contiguous.
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

/** `convex-test` makes ids of digits followed by the table's name. */
export function tableOf(id: string): string {
  return id.replace(/^[0-9]+/, "");
}

/** The documents of one table in the order of one index. */
export class Index {
  readonly docs: Doc[];
  readonly fields: readonly string[];

  constructor(fields: readonly string[], docs: Iterable<Doc>) {
    this.fields = fields;
    this.docs = [...docs].sort((a, b) => compareBy(fields, a, b));
  }

  apply({ before, after }: Write): void {
    if (before !== null) this.docs.splice(this.positionOf(before), 1);
    if (after !== null) this.docs.splice(this.positionOf(after), 0, after);
  }

  /** The positions of the documents within the bounds: from `first` up to, not including, `end`. */
  range(bounds: readonly Bound[]): { first: number; end: number } {
    return {
      first: this.partition((doc) => sideOf(doc, bounds) >= 0),
      end: this.partition((doc) => sideOf(doc, bounds) > 0),
    };
  }

  private positionOf(doc: Doc): number {
    return this.partition((other) => compareBy(this.fields, other, doc) >= 0);
  }

  /** The first position at which the test holds. It holds for all that follow. */
  private partition(test: (doc: Doc) => boolean): number {
    let low = 0;
    let high = this.docs.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (test(this.docs[middle]!)) high = middle;
      else low = middle + 1;
    }
    return low;
  }
}
