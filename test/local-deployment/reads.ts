import type { Value } from "convex/values";
import {
  compareBy,
  fieldOf,
  isWithin,
  keyOf,
  tableOf,
  type Bound,
  type Doc,
  type Write,
} from "./indexes.js";

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
