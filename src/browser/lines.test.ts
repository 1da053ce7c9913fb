import fc from "fast-check";
import { describe, expect, test, vi } from "vitest";
import { z } from "zod";
import * as arbitrary from "../../test/support/arbitraries.js";
import { readLines, type InvalidLineError } from "./index.js";

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
