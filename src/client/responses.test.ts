import { describe, expect, test } from "vitest";
import { Body } from "./responses.js";

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

describe("past the limit", () => {
  const sent = async (limit: number, pieces: string[]) => {
    const body = new Body({ limit });
    for (const piece of pieces) body.write(piece);
    body.close();
    const bytes = await new Response(body.stream).arrayBuffer();
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
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
});
