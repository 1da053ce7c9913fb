import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import * as runtime from "web-streams-polyfill/ponyfill";
import {
  Body,
  emptyResponse,
  errorResponse,
  notFound,
  textResponse,
} from "./responses.js";

test("every response is private, and neither a page nor a script", async () => {
  const own = { "X-Own": "1" };
  const body = new Body();
  body.write("Text.");
  body.close();
  const text = "text/plain; charset=utf-8";
  const json = "application/json";
  const missing = 'There is no stream "x". It may have been deleted.';
  for (const [response, status, type, content] of [
    [textResponse(body, own), 200, text, "Text."],
    [textResponse("Text.", own), 200, text, "Text."],
    [textResponse(null, own), 200, text, ""],
    [emptyResponse(204, own), 204, null, ""],
    [errorResponse(400, "No.", own), 400, json, '{"error":"No."}'],
    [notFound("x"), 404, json, JSON.stringify({ error: missing })],
  ] as const) {
    expect(response.status).toBe(status);
    expect(Object.fromEntries(response.headers)).toEqual({
      "cache-control": "private, no-store, no-transform",
      "x-accel-buffering": "no",
      "x-content-type-options": "nosniff",
      // The app decides which origins may read it.
      "access-control-expose-headers":
        "Stream-Offset, Stream-Next-Offset, Stream-Closed, Stream-Status, Stream-Error",
      ...(type && { "content-type": type }),
      ...(status !== 404 && { "x-own": "1" }),
    });
    expect(await response.text()).toBe(content);
  }
});

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

  test("a reader that waits gets text at once, and what arrives meanwhile in one piece", async () => {
    const body = new Body();
    const read: string[] = [];
    const next = reading(body, read);
    const waits = next();
    body.write("One.");
    await waits;
    for (const text of ["T", "w", "", "o."]) body.write(text);
    await next();
    await next();
    body.close();
    expect(await next()).toBe(false);
    expect(read).toEqual(["One.", "T", "wo."]);
  });

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
    await new Body().stream.cancel();
  });

  test.each([
    { limit: 5, pieces: ["abc", "def"], text: "abcde" },
    { limit: 6, pieces: ["abc", "def"], text: "abcdef" },
    { limit: 6, pieces: ["abc", "def", "g"], text: "abcdef" },
    { limit: 4, pieces: ["ab中", "d"], text: "ab" },
    { limit: 5, pieces: ["ab中", "d"], text: "ab中" },
    { limit: 3, pieces: ["😀"], text: "" },
    { limit: 5, pieces: ["ab", "😀", "c"], text: "ab" },
    { limit: 9, pieces: ["ab", "😀"], text: "ab😀", full: false },
  ])("with room for $limit bytes, $pieces are sent as $text", async (row) => {
    const body = new Body({ limit: row.limit });
    for (const piece of row.pieces) body.write(piece);
    expect(body.full).toBe(row.full ?? true);
    body.close();
    const read: string[] = [];
    const next = reading(body, read);
    while (await next());
    expect(read.join("")).toBe(row.text);
  });
});
