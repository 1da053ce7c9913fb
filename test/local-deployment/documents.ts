/** Documents, ranges of an index, and who has read what. */
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
function fieldOf(doc: Doc, path: string): Value | undefined {
  if (!path.includes(".")) return doc[path];
  let value: unknown = doc;
  for (const part of path.split(".")) {
    value = (value as Record<string, unknown> | null | undefined)?.[part];
  }
  return value as Value | undefined;
}

function isWithin(doc: Doc, bounds: readonly Bound[]): boolean {
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

function compareBy(fields: readonly string[], a: Doc, b: Doc): number {
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
function keyOf(value: Value | undefined): string {
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

/** A range of an index that a function has read, and how far. While none of it changes, its result stays right. */
export interface RangeRead {
  component: string;
  table: string;
  fields: readonly string[];
  order: "asc" | "desc";
  bounds: readonly Bound[];
  /** A document: the function stopped there. */
  upTo: "nothing" | "everything" | Doc;
}

/** A document that was read by its id: a range of one. */
export function documentRead(component: string, id: string): RangeRead {
  return {
    component,
    table: tableOf(id),
    fields: ["_id"],
    order: "asc",
    bounds: [{ type: "Eq", fieldPath: "_id", value: id }],
    upTo: "everything",
  };
}

function covers(range: RangeRead, doc: Doc): boolean {
  if (range.upTo === "nothing" || !isWithin(doc, range.bounds)) return false;
  if (range.upTo === "everything") return true;
  const order = compareBy(range.fields, doc, range.upTo);
  return range.order === "asc" ? order <= 0 : order >= 0;
}

interface Held<Reader> {
  reader: Reader;
  range: RangeRead;
}

/**
 * Finds who has read what a transaction wrote. Ranges are kept by the value of
 * their first field, so that the readers of other streams are never looked at.
 */
export class Readers<Reader> {
  private readonly held = new Map<Reader, Held<Reader>[]>();
  private readonly buckets = new Map<string, Set<Held<Reader>>>();
  /** By table: the first fields of all ranges; "" where that is not an equality. */
  private readonly firstFields = new Map<string, Set<string>>();

  set(reader: Reader, ranges: readonly RangeRead[]): void {
    this.remove(reader);
    const all = ranges.map((range) => ({ reader, range }));
    this.held.set(reader, all);
    for (const held of all) {
      const { component, table } = held.range;
      const { field, key } = bucketOf(held.range);
      getOrAdd(this.firstFields, `${component}|${table}`).add(field);
      getOrAdd(this.buckets, key).add(held);
    }
  }

  remove(reader: Reader): void {
    for (const held of this.held.get(reader) ?? []) {
      const { key } = bucketOf(held.range);
      const bucket = this.buckets.get(key);
      bucket?.delete(held);
      if (bucket?.size === 0) this.buckets.delete(key);
    }
    this.held.delete(reader);
  }

  /** Those for whom at least one of the writes changes what they read. */
  of(writes: readonly Write[]): Set<Reader> {
    const found = new Set<Reader>();
    for (const { component, table, before, after } of writes) {
      const fields = this.firstFields.get(`${component}|${table}`) ?? [];
      for (const doc of [before, after]) {
        if (doc === null) continue;
        for (const field of fields) {
          const key = bucketKey(component, table, field, fieldOf(doc, field));
          for (const { reader, range } of this.buckets.get(key) ?? []) {
            if (!found.has(reader) && covers(range, doc)) found.add(reader);
          }
        }
      }
    }
    return found;
  }
}

function bucketOf({ component, table, bounds }: RangeRead) {
  const [first] = bounds;
  const field = first?.type === "Eq" ? first.fieldPath : "";
  return { field, key: bucketKey(component, table, field, first?.value) };
}

function bucketKey(
  component: string,
  table: string,
  field: string,
  value: Value | undefined,
): string {
  const key = field === "" ? "" : keyOf(value);
  return `${component}|${table}|${field}|${key}`;
}

function getOrAdd<Item>(map: Map<string, Set<Item>>, key: string): Set<Item> {
  let items = map.get(key);
  if (items === undefined) map.set(key, (items = new Set()));
  return items;
}
