import fc from "fast-check";
import { describe, expect, test, vi } from "vitest";
import { z } from "zod";
import * as arbitrary from "../../test/support/arbitraries.js";
import type { StreamState } from "../shared.js";
import {
  readLines,
  type InvalidLineError,
  type LineOptions,
  type LineSchema,
} from "./index.js";
import { createParsedLines, nameSource } from "./lines.js";
import { GrowingText } from "./prefix.js";

/** A text as it arrives. */
async function* pieces(texts: Iterable<string>) {
  for (const text of texts) yield await Promise.resolve(text);
}

async function all<T>(values: AsyncIterable<T>): Promise<T[]> {
  const out: T[] = [];
  for await (const value of values) out.push(value);
  return out;
}

describe("the lines of a text", () => {
  test("are parsed as JSON", async () => {
    const lines = readLines<{ a: number }>(
      pieces(['{"a":', "1}\n", '\n{"a":2}\r\n{"a"', ":3}"]),
    );
    expect(await all(lines)).toEqual([{ a: 1 }, { a: 2 }, { a: 3 }]);
  });

  test("are parsed as the app says, and left out where they say nothing", async () => {
    const data = (line: string) =>
      line.startsWith("data: ") ? line.slice(6) : undefined;
    const lines = readLines(
      pieces([": hello\n\ndata: one\n\nda", "ta: two\n\n"]),
      data,
    );
    expect(await all(lines)).toEqual(["one", "two"]);
  });

  test("that cannot be parsed do not take the others with them", async () => {
    const logged = vi.spyOn(console, "error").mockImplementation(() => {});
    const lines = readLines(pieces(["1\n2\n\n{", '"a\n5\n{\n']));
    expect(await all(lines)).toEqual([1, 2, 5]);
    expect(logged).toHaveBeenCalledOnce();
    expect(logged.mock.calls[0]![0]).toContain(
      'Line 4 of the stream cannot be parsed: "{\\"a"',
    );
    logged.mockRestore();
  });

  test.each([[["1\n", "2\n", "{\n"]], [["1\n2\n{\n"]]])(
    "that cannot be parsed may be an error, after those before them: %j",
    async (texts) => {
      const seen: unknown[] = [];
      const onInvalid = (error: InvalidLineError) => {
        throw error;
      };
      const lines = readLines(pieces(texts), undefined, { onInvalid });
      const reading = (async () => {
        for await (const value of lines) seen.push(value);
      })();
      await expect(reading).rejects.toThrow("Line 3");
      expect(seen).toEqual([1, 2]);
    },
  );

  test("are checked by a schema", async () => {
    const invalid: string[] = [];
    const lines = readLines(
      pieces(['{"n":1}\n{"n":"2"}\n{\n{"n":4}\n']),
      z.object({ n: z.number() }).transform(({ n }) => n * 10),
      { onInvalid: ({ number }) => void invalid.push(`line ${number}`) },
    );
    expect(await all(lines)).toEqual([10, 40]);
    expect(invalid).toEqual(["line 2", "line 3"]);
  });

  test("do not include line breaks, and blank ones are left out", async () => {
    const lines = readLines(
      pieces(["a \r\n \r\n\r\nb\r", "\nc"]),
      (line) => line,
    );
    expect(await all(lines)).toEqual(["a ", "b", "c"]);
  });

  type Validate = LineSchema<never>["~standard"]["validate"];
  test.each<[string, Validate]>([
    [
      "Too long.",
      () => ({ issues: [{ message: "Too" }, { message: "long." }] }),
    ],
    [
      "A schema for lines must be synchronous.",
      () => Promise.reject(new Error("late")),
    ],
  ])("that fail a schema say why: %s", async (message, validate) => {
    const errors: InvalidLineError[] = [];
    const schema = {
      "~standard": { version: 1, vendor: "test", validate },
    } as const;
    const onInvalid = (error: InvalidLineError) => void errors.push(error);
    const line = JSON.stringify("x".repeat(100));
    await all(readLines(pieces([line]), schema, { onInvalid }));
    const start = JSON.stringify(line.slice(0, 80));
    expect(errors).toMatchObject([
      {
        line,
        cause: { message },
        message: `Line 1 of the stream cannot be parsed: ${start}.`,
      },
    ]);
  });

  test("are the same, wherever the text is cut", async () => {
    await fc.assert(
      fc.asyncProperty(arbitrary.tokens(80), async (tokens) => {
        const lines = readLines(pieces(tokens), (line) => line);
        expect(await all(lines)).toEqual(
          tokens
            .join("")
            .split("\n")
            .filter((line) => line.trim() !== ""),
        );
      }),
    );
  });

  test("may be long and arrive in many pieces", async () => {
    const long = "x".repeat(1_000_000);
    const lines = readLines(pieces(long + "\n"), (line) => line);
    const [line] = await all(lines);
    expect(line === long).toBe(true);
  });
});

/** Shows the lines of one body after the other, each twice, as React may. */
function showLines<T>(
  parse: (line: string) => T | undefined = JSON.parse,
  options?: LineOptions<T>,
) {
  const linesOf = createParsedLines<T>();
  const seen: (readonly T[])[] = [];
  return {
    seen,
    show: (
      text: string | StreamState,
      status: StreamState["status"] = "streaming",
    ) => {
      const body = typeof text === "string" ? { text, status } : text;
      const render = () => linesOf(body, parse, options?.onInvalid);
      // What a render was given may not change any more.
      const lines = Object.freeze(render());
      expect(render()).toBe(lines);
      seen.push(lines);
      return lines;
    },
  };
}

test.each<[string, StreamState["status"], unknown[]]>([
  ["1\n2", "streaming", [1]],
  ["1\n2", "done", [1, 2]],
  ['1\n{"a', "error", [1]],
  ['1\n{"a', "aborted", [1]],
])("whole lines are shown, and half a line at the end: %j, %s", (...row) => {
  const [text, status, values] = row;
  expect(showLines().show(text, status)).toEqual(values);
});

test("each line is parsed once, and the array is the same until there are more", () => {
  const parse = vi.fn((line: string) => Number(line));
  const { show, seen } = showLines(parse);
  show("1\n2\n");
  const before = seen.at(-1);
  show("1\n2\n3");
  expect(seen.at(-1)).toBe(before);
  show("1\n2\n3\n");
  expect(parse.mock.calls.map(([line]) => line)).toEqual(["1", "2", "3"]);
});

test("a parser that changes parses the lines that follow", () => {
  const linesOf = createParsedLines<string>();
  const show = (text: string, mark: string) =>
    linesOf({ text, status: "streaming" }, (line) => line + mark, undefined);
  show("a\n", "!");
  expect(show("a\nb\n", "?")).toEqual(["a!", "b?"]);
});

/** The bodies of one reader, whose text starts at an offset and grows. */
function bodies(start = 0) {
  const source = new GrowingText("", start);
  return (text: string, status: StreamState["status"] = "done") => {
    source.append(text.slice(source.text.length));
    const body: StreamState = { text, status };
    nameSource(body, source);
    return body;
  };
}

test.each([
  ["plain bodies", () => (text: string) => ({ text, status: "done" as const })],
  ["bodies of readers", bodies],
])("another stream starts clean: %s", (_, stream) => {
  const { show } = showLines();
  for (const texts of [
    ["1\n2"],
    ["", "1\n2\n3\n4"],
    ["1", "1\n2\n3\n"],
    ["", "7\n"],
  ]) {
    const next = stream();
    for (const text of texts) {
      const values = text.split("\n").filter((line) => line !== "");
      expect(show(next(text))).toEqual(values.map(Number));
    }
  }
});

test("two streams that are shown in turn, one of them deferred, are each parsed once", () => {
  const parse = vi.fn((line: string) => Number(line));
  const { show } = showLines(parse);
  const before = bodies()("1\n2\n");
  const next = bodies();
  const array = show(before);
  for (const text of ["", "1\n", "1\n3\n", "1\n3\n4\n"]) {
    show(next(text, "streaming"));
    expect(show(before)).toBe(array);
  }
  expect(show(next("1\n3\n4\n"))).toEqual([1, 3, 4]);
  expect(parse).toHaveBeenCalledTimes(5);
});

test("an older body gets its older array, and nothing is parsed again", () => {
  const parse = vi.fn((line: string) => Number(line));
  const { show } = showLines(parse);
  show("1\n2\n");
  const before = show("1\n2\n");
  show("1\n2\n3\n4\n");
  expect(show("1\n2\n")).toBe(before);
  expect(show("1\n2\n3\n")).toEqual([1, 2, 3]);
  expect(parse).toHaveBeenCalledTimes(4);
});

test("the half line with which the end of a text begins is left out", () => {
  const { show } = showLines((line) => line);
  const body = bodies(7);
  expect(show(body("alf"))).toEqual([]);
  expect(show(body("alf a line\nwhole\n"))).toEqual(["whole"]);
  // Nor is it taken for the beginning of another text.
  expect(show(bodies(100)("{"))).toEqual([]);
  expect(show(bodies()("{1}\n{2}\n"))).toEqual(["{1}", "{2}"]);
});

describe("a line that cannot be parsed", () => {
  test.each([
    ["may be replaced", () => -1, [1, -1, 3]],
    ["may be skipped without a word", () => undefined, [1, 3]],
  ])("%s", (_, onInvalid, values) => {
    const { show } = showLines<unknown>(undefined, { onInvalid });
    expect(show("1\n{\n3\n")).toEqual(values);
  });

  test("may be an error, at every render", () => {
    const silent = vi.spyOn(console, "error").mockImplementation(() => {});
    const { show } = showLines(undefined, {
      onInvalid: (error) => {
        throw error;
      },
    });
    expect(() => show("1\n{\n3\n")).toThrow("Line 2 of the stream");
    silent.mockRestore();
  });
});

test("a body that was taken as done keeps its last line when more text comes", () => {
  const { show } = showLines((line) => line);
  const body = bodies();
  const taken = body("a\nb");
  expect(show(taken)).toEqual(["a", "b"]);
  expect(show(body("a\nbc\n"))).toEqual(["a", "bc"]);
  expect(show(taken)).toEqual(["a", "b"]);
});
