import { compareValues, convexToJson, type Value } from "convex/values";

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
  return bounds.every(({ type, fieldPath, value }) => {
    const order = compareValues(fieldOf(doc, fieldPath), value);
    switch (type) {
      case "Eq":
        return order === 0;
      case "Gt":
        return order > 0;
      case "Gte":
        return order >= 0;
      case "Lt":
        return order < 0;
      case "Lte":
        return order <= 0;
    }
  });
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

/** A value as a key. Values that are equal have equal keys. */
export function keyOf(value: Value | undefined): string {
  if (typeof value === "string") return `"${value}`;
  return value === undefined ? "" : JSON.stringify(convexToJson(value));
}

/** The documents of one table by the value of one field, or all of them if there is no field. */
export class Buckets {
  private readonly docs = new Map<string, Map<string, Doc>>();

  constructor(
    private readonly field: string | null,
    docs: readonly Doc[],
  ) {
    for (const after of docs) this.apply({ before: null, after });
  }

  get(value: Value | undefined): ReadonlyMap<string, Doc> {
    return this.docs.get(keyOf(value)) ?? new Map<string, Doc>();
  }

  apply({ before, after }: Pick<Write, "before" | "after">): void {
    if (before !== null) {
      const key = this.keyOf(before);
      const bucket = this.docs.get(key);
      bucket?.delete(before._id);
      if (bucket?.size === 0) this.docs.delete(key);
    }
    if (after !== null) {
      const key = this.keyOf(after);
      const bucket = this.docs.get(key) ?? new Map<string, Doc>();
      this.docs.set(key, bucket.set(after._id, after));
    }
  }

  private keyOf(doc: Doc): string {
    return keyOf(this.field === null ? undefined : fieldOf(doc, this.field));
  }
}
