import { describe, expect, test } from "vitest";
import type { StreamStatus } from "../shared.js";
import { createPrefix, GrowingText, type Prefix } from "./prefix.js";

describe("the text", () => {
  test.each([
    ["", 0, "abc", "abc", "the beginning"],
    ["abc", 3, "def", "abcdef", "what follows"],
    ["abc", 1, "bcde", "abcde", "an overlap"],
    ["abc", 0, "ab", "abc", "what is known"],
    ["abc", 4, "e", "abc", "a gap"],
    ["abc", 3, "", "abc", "nothing"],
  ])("%j and, from %i on, %j make %j: %s", (has, offset, gets, becomes) => {
    const prefix = createPrefix();
    prefix.receive(0, has);
    prefix.receive(offset, gets);
    expect(prefix.text).toBe(becomes);
    expect(prefix.status).toBe("streaming");
    prefix.receive(prefix.end, "!");
    expect(prefix.text).toBe(`${becomes}!`);
  });

  test("that contradicts itself counts no more", () => {
    const prefix = createPrefix();
    prefix.receive(0, "abc");
    prefix.receive(1, "XX");
    prefix.receive(3, "def");
    expect(prefix.text).toBe("abc");
  });

  test.each([
    { how: "begins with", take: createPrefix },
    {
      how: "adopts",
      take: (other: Prefix) => {
        const prefix = createPrefix();
        prefix.adopt(other);
        return prefix;
      },
    },
  ])("that $how another reader's placeholder is a placeholder", ({ take }) => {
    const other = createPrefix();
    other.replace("Thinking…", "pending");
    const prefix = take(other);
    expect(prefix).toMatchObject({ text: "Thinking…", status: "pending" });
    prefix.receive(0, "One.");
    expect(prefix.text).toBe("One.");
  });

  test("may begin with an earlier prefix, at its offset", () => {
    const prefix = createPrefix({ text: "abc", start: 5, status: "streaming" });
    prefix.receive(8, "d");
    expect(prefix.source).toMatchObject({ text: "abcd", start: 5 });
  });
});

describe("the whole text, from a query", () => {
  test.each([
    ["abc", "ab", "abc", "HTTP is ahead"],
    ["abc", "abc", "abc", "they agree"],
    ["abc", "abcd", "abcd", "the query is ahead"],
    ["", "abc", "abc", "there is no other"],
    ["abc", "[removed]", "[removed]", "it says so"],
    ["abc", "", "abc", "nothing removes nothing"],
  ])("%j and %j show %j: %s", (pieces, whole, shows) => {
    const prefix = createPrefix();
    prefix.receive(0, pieces);
    prefix.replace(whole, "streaming");
    expect(prefix.text).toBe(shows);
    expect(prefix.source?.text).toBe(shows === pieces ? shows : undefined);
  });

  test("replaces what the query returned before, but not with nothing", () => {
    const prefix = createPrefix();
    for (const whole of ["abc▍", "abc", ""]) prefix.replace(whole, "streaming");
    expect(prefix.text).toBe("abc");
    prefix.receive(0, "abcdef");
    expect(prefix.text).toBe("abcdef");
  });
});

describe("where the two differ, the database is right", () => {
  test("from a piece on, for HTTP's text before and after", () => {
    const prefix = createPrefix();
    prefix.receive(0, "abcdef");
    expect(prefix.save(2, "cd")).toBe(false);
    expect(prefix.save(2, "cX")).toBe(true);
    expect(prefix.text).toBe("abcX");
    prefix.receive(6, "gh");
    expect(prefix.text).toBe("abcX");
    expect(prefix.save(0, "YYYYY")).toBe(false);
    expect(prefix.text).toBe("YYYYY");
  });

  test.each<[string, StreamStatus, string, string]>([
    ["abcd▍", "streaming", "abcdef", "a cursor lags"],
    ["abcd▍", "done", "abcd▍", "it is the end"],
    ["Wait…", "pending", "abcdef", "a placeholder"],
    ["abcdefg…", "pending", "abcdef", "a placeholder that begins alike"],
  ])("%s while %s shows %s: %s", (whole, status, shows) => {
    const prefix = createPrefix();
    prefix.replace(whole, status);
    expect(prefix.text).toBe(whole);
    prefix.receive(0, "abcdef");
    prefix.replace(whole, status);
    prefix.receive(6, "");
    expect(prefix.text).toBe(shows);
  });

  test("if only the end of a text is read", () => {
    const prefix = createPrefix();
    prefix.save(100, "abc");
    prefix.save(102, "cdef");
    prefix.receive(90, "x".repeat(10) + "abcdefgh");
    expect(prefix.text).toBe("abcdefgh");
    expect(prefix.end).toBe(108);
    expect(prefix.save(101, "XY")).toBe(true);
    expect(prefix).toMatchObject({ start: 100, text: "aXY" });
  });
});

test("another reader's end without text does not say where a text starts", () => {
  const prefix = createPrefix();
  prefix.adopt({ text: "", start: null, status: "aborted" });
  prefix.save(500, "abc");
  prefix.adopt({ text: "Thinking…", start: null, status: "pending" });
  expect(prefix).toMatchObject({ text: "abc", status: "aborted" });
});

test("a token costs the same behind a long text: nothing copies it", () => {
  const prefix = createPrefix();
  const before = "x".repeat(20_000_000);
  prefix.receive(0, before);
  const start = performance.now();
  // Each repeats the end of what is known.
  for (let i = 0; i < 300; i++) prefix.receive(before.length + i, "yy");
  // Some ms. With a copy each time, 10 s.
  expect(performance.now() - start).toBeLessThan(2000);
  expect(prefix.end).toBe(before.length + 301);
});

test("the end of a long text is read without the rest", () => {
  const text = new GrowingText();
  for (let i = 0; i < 50_000; i++) text.append(`${i} `);
  for (const index of [0, 1000, text.text.length - 7, text.text.length]) {
    expect(text.from(index)).toBe(text.text.slice(index));
  }
});

test.each([
  [["streaming"], "streaming"],
  [["streaming", "pending"], "streaming"],
  [["done", "pending", "streaming", "error"], "done"],
  [["error", "done"], "error"],
  [["timeout", "streaming", "aborted"], "timeout"],
  [["aborted", "timeout"], "aborted"],
] as const)("after %j the status is %s", (statuses, becomes) => {
  const prefix = createPrefix();
  expect(prefix.status).toBe("pending");
  for (const status of statuses) prefix.update(status);
  expect(prefix.status).toBe(becomes);
});
