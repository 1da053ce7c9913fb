import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import * as runtime from "web-streams-polyfill";
import { Body } from "./responses.js";

/** Reads the next piece; false at the end. */
const reading = (body: Body, read: string[]) => {
  const reader = body.stream.getReader();
  return async () => {
    const { value, done } = await reader.read();
    if (!done)
      read.push(new TextDecoder("utf-8", { fatal: true }).decode(value));
    return !done;
  };
};

describe.each([
  { whose: "the platform", Stream: ReadableStream },
  { whose: "Convex's runtime", Stream: runtime.ReadableStream },
])("with the streams of $whose", ({ Stream }) => {
  beforeEach(() => void vi.stubGlobal("ReadableStream", Stream));
  afterEach(() => void vi.unstubAllGlobals());

  test("text that arrives faster than it is read makes few pieces, and all of it arrives", async () => {
    const body = new Body();
    const read: string[] = [];
    const next = reading(body, read);
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

  test("a reader that leaves is reported, and writing goes on", async () => {
    const onCancel = vi.fn();
    const body = new Body({ onCancel });
    body.write("One.");
    await body.stream.cancel();
    body.write("Two.");
    body.close();
    expect(onCancel).toHaveBeenCalledOnce();
  });

  test.each([
    { limit: 5, pieces: ["abc", "def"], text: "abcde" },
    { limit: 6, pieces: ["abc", "def"], text: "abcdef" },
    { limit: 6, pieces: ["abc", "def", "g"], text: "abcdef" },
    { limit: 4, pieces: ["ab中", "d"], text: "ab" },
    { limit: 5, pieces: ["ab中", "d"], text: "ab中" },
    { limit: 3, pieces: ["😀"], text: "" },
    { limit: 5, pieces: ["ab", "😀", "c"], text: "ab" },
  ])("with room for $limit bytes, $pieces are sent as $text", async (row) => {
    const body = new Body({ limit: row.limit });
    for (const piece of row.pieces) body.write(piece);
    body.close();
    const read: string[] = [];
    const next = reading(body, read);
    while (await next());
    expect(read.join("")).toBe(row.text);
  });
});
