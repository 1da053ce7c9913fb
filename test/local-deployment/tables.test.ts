// @vitest-environment node
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { Readers, ReadSet } from "./reads.js";
import {
  compareBy,
  isWithin,
  SortedIndex,
  Table,
  type Bound,
  type Doc,
} from "./tables.js";

const FIELDS = ["topic", "position", "_creationTime", "_id"];

const topic = fc.constantFrom("a", "b", "c");
const position = fc.integer({ min: 0, max: 5 });

const docs = fc
  .array(fc.record({ topic, position }), { maxLength: 30 })
  .map((items) => items.map(toDoc));

function toDoc(item: { topic: string; position: number }, i: number): Doc {
  return { ...item, _id: `${i}notes`, _creationTime: i };
}

const eq = (fieldPath: string, value: string | number): Bound => ({
  type: "Eq",
  fieldPath,
  value,
});

/** Ranges as `withIndex` allows them. */
const bounds: fc.Arbitrary<readonly Bound[]> = fc.oneof(
  fc.constant([]),
  topic.map((value) => [eq("topic", value)]),
  fc
    .tuple(topic, position)
    .map(([a, b]) => [eq("topic", a), eq("position", b)]),
  fc
    .tuple(
      topic,
      fc.constantFrom("Gt" as const, "Gte" as const),
      position,
      fc.option(
        fc.tuple(fc.constantFrom("Lt" as const, "Lte" as const), position),
      ),
    )
    .map(([a, type, value, upper]) => [
      eq("topic", a),
      { type, fieldPath: "position", value },
      ...(upper === null
        ? []
        : [{ type: upper[0], fieldPath: "position", value: upper[1] }]),
    ]),
  fc
    .tuple(fc.constantFrom("Lt" as const, "Lte" as const), topic)
    .map(([type, value]) => [{ type, fieldPath: "topic", value }]),
);

const sorted = (items: Doc[]) =>
  [...items].sort((a, b) => compareBy(FIELDS, a, b));

describe("an index", () => {
  test("gives a range exactly as a scan of all documents does", () => {
    fc.assert(
      fc.property(docs, bounds, (all, range) => {
        const index = new SortedIndex(FIELDS, all);
        const { first, end } = index.range(range);
        expect(index.docs.slice(first, end)).toEqual(
          sorted(all.filter((doc) => isWithin(doc, range))),
        );
      }),
    );
  });

  test("stays in order when documents come, change and go", () => {
    fc.assert(
      fc.property(
        docs,
        fc.array(
          fc.tuple(fc.nat(29), fc.option(fc.record({ topic, position }))),
        ),
        (all, changes) => {
          const table = new Table();
          const current = new Map<string, Doc>();
          const write = (id: string, after: Doc | null) => {
            const before = current.get(id) ?? null;
            table.apply({ component: "", table: "notes", id, before, after });
            if (after === null) current.delete(id);
            else current.set(id, after);
          };
          const index = table.index(FIELDS);
          for (const doc of all) write(doc._id, doc);
          for (const [i, change] of changes) {
            write(`${i}notes`, change === null ? null : toDoc(change, i));
          }
          expect(index.docs).toEqual(sorted([...current.values()]));
        },
      ),
    );
  });
});

describe("read sets", () => {
  test("a write concerns a reader if and only if it is within what was read", () => {
    fc.assert(
      fc.property(docs, bounds, fc.nat(40), (all, range, taken) => {
        const before = sorted(all.filter((doc) => isWithin(doc, range)));
        const reads = new ReadSet();
        reads.addRange({
          component: "",
          table: "notes",
          fields: FIELDS,
          order: "asc",
          bounds: range,
          upTo:
            taken > before.length
              ? "everything"
              : (before[taken - 1] ?? "nothing"),
        });
        const readers = new Readers<string>();
        readers.set("reader", reads);
        for (const doc of all) {
          const found = readers.of([
            {
              component: "",
              table: "notes",
              id: doc._id,
              before: doc,
              after: null,
            },
          ]);
          const wasRead = before.slice(0, taken).includes(doc);
          expect(found.has("reader")).toBe(wasRead);
        }
      }),
    );
  });

  test("another component's table of the same name is another table", () => {
    const reads = new ReadSet();
    reads.addDocument("counter", "1notes");
    const readers = new Readers<string>();
    readers.set("reader", reads);
    const write = (component: string) => [
      { component, table: "notes", id: "1notes", before: null, after: null },
    ];
    expect(readers.of(write("")).size).toBe(0);
    expect(readers.of(write("counter")).size).toBe(1);
    readers.remove("reader");
    expect(readers.of(write("counter")).size).toBe(0);
  });
});
