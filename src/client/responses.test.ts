import fc from "fast-check";
import { describe, expect, test } from "vitest";
import * as arbitrary from "../../test/support/arbitraries.js";
import { Body } from "./responses.js";

const encode = (text: string) => new TextEncoder().encode(text);

async function bytesOf(body: Body): Promise<Uint8Array> {
  return new Uint8Array(await new Response(body.stream).arrayBuffer());
}

test("text is sent at once, in UTF-8", async () => {
  const body = new Body();
  const reader = body.stream.getReader();
  body.write("naïve 字 😀");
  expect((await reader.read()).value).toEqual(encode("naïve 字 😀"));
  body.write("more");
  expect((await reader.read()).value).toEqual(encode("more"));
  body.close();
  expect((await reader.read()).done).toBe(true);
});

test("text that arrives faster than it is read makes few pieces, and all of it arrives", async () => {
  const body = new Body();
  const reader = body.stream.getReader();
  const read: string[] = [];
  const next = async () => {
    const { value, done } = await reader.read();
    if (!done) read.push(new TextDecoder().decode(value));
    return !done;
  };
  for (const round of [1, 2, 3]) {
    for (let i = 0; i < 1000; i++) body.write(`${round}😀`);
    await next();
  }
  body.close();
  while (await next());
  expect(read.length).toBeLessThan(7);
  expect(read.join("")).toBe(
    [1, 2, 3].map((round) => `${round}😀`.repeat(1000)).join(""),
  );
});

test("text that begins with U+FEFF keeps it", async () => {
  const body = new Body();
  body.write("\uFEFFtext");
  body.close();
  expect(await bytesOf(body)).toEqual(encode("\uFEFFtext"));
});

test("a reader that has gone is no matter to the writer", async () => {
  const body = new Body();
  body.write("some");
  await body.stream.cancel();
  expect(() => {
    body.write("more");
    body.close();
  }).not.toThrow();
});

describe("past the limit", () => {
  const sent = async (limit: number, pieces: string[]) => {
    const body = new Body({ limit });
    for (const piece of pieces) body.write(piece);
    body.close();
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(
      await bytesOf(body),
    );
  };

  test.each([
    { limit: 5, pieces: ["abc", "def"], text: "abcde" },
    { limit: 6, pieces: ["abc", "def"], text: "abcdef" },
    { limit: 6, pieces: ["abc", "def", "g"], text: "abcdef" },
    { limit: 4, pieces: ["ab中", "d"], text: "ab" },
    { limit: 5, pieces: ["ab中", "d"], text: "ab中" },
    { limit: 3, pieces: ["😀"], text: "" },
    { limit: 5, pieces: ["ab", "😀", "c"], text: "ab" },
  ])("of $limit bytes, $pieces are sent as $text", async (row) => {
    expect(await sent(row.limit, row.pieces)).toBe(row.text);
  });

  test("the beginning of the text is sent, cut between two characters", async () => {
    await fc.assert(
      fc.asyncProperty(
        arbitrary.pieces(8, 4),
        fc.nat(60),
        async (pieces, limit) => {
          const whole = pieces.join("");
          const text = await sent(limit, pieces);
          expect(whole.startsWith(text)).toBe(true);
          expect(encode(text).length).toBeLessThanOrEqual(limit);
          const rest = whole.slice(text.length);
          const next = String.fromCodePoint(rest.codePointAt(0) ?? 0);
          if (rest !== "") {
            expect(encode(text + next).length).toBeGreaterThan(limit);
          }
        },
      ),
    );
  });
});
