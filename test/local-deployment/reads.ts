import { convexToJson, type Value } from "convex/values";
import {
  compareBy,
  fieldOf,
  isWithin,
  type Bound,
  type Doc,
  type Write,
} from "./tables.js";

/** A range of an index that a function has read, as far as it has read it. */
export interface RangeRead {
  component: string;
  table: string;
  fields: readonly string[];
  order: "asc" | "desc";
  bounds: readonly Bound[];
  /**
   * `nothing`: the function has not asked for a document yet. A document: it
   * stopped there. `everything`: it read to the end of the range.
   */
  upTo: "nothing" | "everything" | Doc;
}

/** What a function has read: while none of it changes, its result stays right. */
export class ReadSet {
  readonly documents = new Set<string>();
  readonly ranges: RangeRead[] = [];

  addDocument(component: string, id: string): void {
    this.documents.add(documentKey(component, id));
  }

  addRange(range: RangeRead): void {
    this.ranges.push(range);
  }
}

function documentKey(component: string, id: string): string {
  return `${component}|${id}`;
}

function covers(range: RangeRead, doc: Doc | null): boolean {
  if (doc === null || range.upTo === "nothing") return false;
  if (!isWithin(doc, range.bounds)) return false;
  if (range.upTo === "everything") return true;
  const order = compareBy(range.fields, doc, range.upTo);
  return range.order === "asc" ? order <= 0 : order >= 0;
}

/** All ranges of one table that some reader holds, by the value of their first field. */
class TableReads<Reader> {
  private readonly byFirstField = new Map<
    string,
    Map<string, Map<Reader, RangeRead[]>>
  >();
  private readonly others = new Map<Reader, RangeRead[]>();

  add(reader: Reader, range: RangeRead): void {
    const first = range.bounds[0];
    if (first?.type !== "Eq") {
      push(this.others, reader, range);
      return;
    }
    const values = getOrAdd(
      this.byFirstField,
      first.fieldPath,
      () => new Map<string, Map<Reader, RangeRead[]>>(),
    );
    const readers = getOrAdd(
      values,
      valueKey(first.value),
      () => new Map<Reader, RangeRead[]>(),
    );
    push(readers, reader, range);
  }

  remove(reader: Reader, range: RangeRead): void {
    const first = range.bounds[0];
    if (first?.type !== "Eq") {
      this.others.delete(reader);
      return;
    }
    const values = this.byFirstField.get(first.fieldPath);
    const key = valueKey(first.value);
    const readers = values?.get(key);
    readers?.delete(reader);
    if (readers?.size === 0) values?.delete(key);
  }

  collect(doc: Doc | null, into: Set<Reader>): void {
    if (doc === null) return;
    collectFrom(this.others, doc, into);
    for (const [field, values] of this.byFirstField) {
      const readers = values.get(valueKey(fieldOf(doc, field)));
      if (readers !== undefined) collectFrom(readers, doc, into);
    }
  }
}

function collectFrom<Reader>(
  readers: Map<Reader, RangeRead[]>,
  doc: Doc,
  into: Set<Reader>,
): void {
  for (const [reader, ranges] of readers) {
    if (into.has(reader)) continue;
    if (ranges.some((range) => covers(range, doc))) into.add(reader);
  }
}

/**
 * Finds who has read what a transaction wrote. A write costs what it touches:
 * the readers of other streams, say, are never looked at.
 */
export class Readers<Reader> {
  private readonly byReader = new Map<Reader, ReadSet>();
  private readonly byDocument = new Map<string, Set<Reader>>();
  private readonly byTable = new Map<string, TableReads<Reader>>();

  set(reader: Reader, reads: ReadSet): void {
    this.remove(reader);
    this.byReader.set(reader, reads);
    for (const key of reads.documents) {
      getOrAdd(this.byDocument, key, () => new Set<Reader>()).add(reader);
    }
    for (const range of reads.ranges) {
      getOrAdd(
        this.byTable,
        `${range.component}|${range.table}`,
        () => new TableReads<Reader>(),
      ).add(reader, range);
    }
  }

  remove(reader: Reader): void {
    const reads = this.byReader.get(reader);
    if (reads === undefined) return;
    this.byReader.delete(reader);
    for (const key of reads.documents) {
      const readers = this.byDocument.get(key);
      readers?.delete(reader);
      if (readers?.size === 0) this.byDocument.delete(key);
    }
    for (const range of reads.ranges) {
      this.byTable
        .get(`${range.component}|${range.table}`)
        ?.remove(reader, range);
    }
  }

  /** Those for whom at least one of the writes changes what they read. */
  of(writes: readonly Write[]): Set<Reader> {
    const found = new Set<Reader>();
    for (const write of writes) {
      const key = documentKey(write.component, write.id);
      for (const reader of this.byDocument.get(key) ?? []) found.add(reader);
      const table = this.byTable.get(`${write.component}|${write.table}`);
      table?.collect(write.before, found);
      table?.collect(write.after, found);
    }
    return found;
  }
}

function valueKey(value: Value | undefined): string {
  if (typeof value === "string") return `"${value}`;
  return value === undefined
    ? "undefined"
    : JSON.stringify(convexToJson(value));
}

function getOrAdd<K, V>(map: Map<K, V>, key: K, make: () => V): V {
  let value = map.get(key);
  if (value === undefined) {
    value = make();
    map.set(key, value);
  }
  return value;
}

function push<K, V>(map: Map<K, V[]>, key: K, value: V): void {
  getOrAdd(map, key, () => []).push(value);
}
