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

/** `convex-test` makes ids of digits followed by the table's name. */
export function tableOf(id: string): string {
  return id.replace(/^[0-9]+/, "");
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

/** How a document's value must compare with a bound's. */
const isInside: Record<Bound["type"], (order: number) => boolean> = {
  Eq: (order) => order === 0,
  Gt: (order) => order > 0,
  Gte: (order) => order >= 0,
  Lt: (order) => order < 0,
  Lte: (order) => order <= 0,
};

/** Sets of items, by key. */
export class Groups<Item> {
  private readonly sets = new Map<string, Set<Item>>();

  of(key: string): Iterable<Item> {
    return this.sets.get(key) ?? [];
  }

  add(key: string, item: Item): void {
    const set = this.sets.get(key);
    if (set === undefined) this.sets.set(key, new Set([item]));
    else set.add(item);
  }

  remove(key: string, item: Item): void {
    const set = this.sets.get(key);
    set?.delete(item);
    if (set?.size === 0) this.sets.delete(key);
  }
}

/** A field with a value, as a key. Values that are equal have equal keys. The field "" is for all documents. */
function keyOf(field: string, value: Value | undefined): string {
  if (field === "" || value === undefined) return field;
  return typeof value === "string"
    ? `${field}|"${value}`
    : `${field}|${JSON.stringify(convexToJson(value))}`;
}

export function keyIn(doc: Doc, field: string): string {
  return keyOf(field, field === "" ? undefined : fieldOf(doc, field));
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

function covers({ bounds, fields, order, upTo }: RangeRead, doc: Doc): boolean {
  const isWithin = bounds.every(({ type, fieldPath, value }) =>
    isInside[type](compareValues(fieldOf(doc, fieldPath), value)),
  );
  if (upTo === "nothing" || !isWithin) return false;
  if (upTo === "everything") return true;
  for (const field of fields) {
    const apart = compareValues(fieldOf(doc, field), fieldOf(upTo, field));
    if (apart !== 0) return order === "asc" ? apart < 0 : apart > 0;
  }
  return true;
}

/** The first bound, if it is an equality: documents and ranges are kept by it. */
export function firstOf([first]: readonly Bound[]) {
  return first?.type === "Eq"
    ? { field: first.fieldPath, key: keyOf(first.fieldPath, first.value) }
    : { field: "", key: "" };
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
  private readonly byKey = new Groups<Held<Reader>>();
  /** By table: the first fields of all ranges. */
  private readonly fields = new Groups<string>();

  set(reader: Reader, ranges: readonly RangeRead[]): void {
    this.remove(reader);
    const all = ranges.map((range) => ({ reader, range }));
    this.held.set(reader, all);
    for (const held of all) {
      const table = nameOf(held.range);
      const { field, key } = firstOf(held.range.bounds);
      this.fields.add(table, field);
      this.byKey.add(`${table}|${key}`, held);
    }
  }

  remove(reader: Reader): void {
    for (const held of this.held.get(reader) ?? []) {
      const { key } = firstOf(held.range.bounds);
      this.byKey.remove(`${nameOf(held.range)}|${key}`, held);
    }
    this.held.delete(reader);
  }

  /** Those for whom at least one of the writes changes what they read. */
  of(writes: readonly Write[]): Set<Reader> {
    const found = new Set<Reader>();
    for (const write of writes) {
      const table = nameOf(write);
      for (const doc of [write.before, write.after]) {
        if (doc === null) continue;
        for (const field of this.fields.of(table)) {
          const held = this.byKey.of(`${table}|${keyIn(doc, field)}`);
          for (const { reader, range } of held) {
            if (!found.has(reader) && covers(range, doc)) found.add(reader);
          }
        }
      }
    }
    return found;
  }
}

const nameOf = ({ component, table }: Pick<Write, "component" | "table">) =>
  `${component}|${table}`;
