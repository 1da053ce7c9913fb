import { describe, expect, test } from "vitest";
import { type StreamStatus, isFinal } from "../shared.js";
import { GrowingText, createPrefix } from "./prefix.js";

describe("the text", () => {
  test.each([
    { has: "", offset: 0, gets: "abc", becomes: "abc", why: "the beginning" },
    {
      has: "abc",
      offset: 3,
      gets: "def",
      becomes: "abcdef",
      why: "what follows",
    },
    {
      has: "abc",
      offset: 1,
      gets: "bcde",
      becomes: "abcde",
      why: "an overlap",
    },
    { has: "abc", offset: 0, gets: "ab", becomes: "abc", why: "what is known" },
    { has: "abc", offset: 4, gets: "e", becomes: "abc", why: "a gap" },
    { has: "abc", offset: 3, gets: "", becomes: "abc", why: "nothing" },
  ])("$has and $gets from $offset on make $becomes: $why", (row) => {
    const prefix = createPrefix();
    prefix.receive(0, row.has);
    prefix.receive(row.offset, row.gets);
    expect(prefix.text).toBe(row.becomes);
  });
});

describe("the text as a whole, from a query", () => {
  test.each([
    { pieces: "abc", whole: "ab", shows: "abc", why: "HTTP is ahead" },
    { pieces: "abc", whole: "abcd", shows: "abcd", why: "the query is ahead" },
    { pieces: "", whole: "abc", shows: "abc", why: "there is no other" },
    {
      pieces: "abc",
      whole: "[removed]",
      shows: "[removed]",
      why: "it says so",
    },
    { pieces: "abc", whole: "", shows: "abc", why: "nothing removes nothing" },
  ])("$pieces and $whole show $shows: $why", ({ pieces, whole, shows }) => {
    const prefix = createPrefix();
    prefix.receive(0, pieces);
    prefix.replace(whole, "streaming");
    expect(prefix.text).toBe(shows);
  });

  test("takes the place of what the query gave before, but for nothing", () => {
    const prefix = createPrefix();
    for (const whole of ["abc▍", "abc", ""]) prefix.replace(whole, "streaming");
    expect(prefix.text).toBe("abc");
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

  test.each([
    {
      whole: "ab▍",
      status: "streaming",
      shows: "abcdef",
      why: "a cursor lags",
    },
    { whole: "ab▍", status: "done", shows: "ab▍", why: "it is the end" },
    {
      whole: "Wait…",
      status: "pending",
      shows: "abcdef",
      why: "a placeholder",
    },
  ] as const)("$whole while $status shows $shows: $why", (row) => {
    const prefix = createPrefix();
    prefix.replace(row.whole, row.status);
    expect(prefix.text).toBe(row.whole);
    prefix.receive(0, "abcdef");
    prefix.replace(row.whole, row.status);
    prefix.receive(6, "");
    expect(prefix.text).toBe(row.status === "pending" ? "abcdef" : row.shows);
  });

  test("of a text of which only the end is read", () => {
    const prefix = createPrefix();
    prefix.save(100, "abc");
    prefix.save(102, "cdef");
    prefix.receive(0, "x".repeat(100) + "abcdefgh");
    expect(prefix.text).toBe("abcdefgh");
    expect(prefix.end).toBe(108);
  });
});

test("the end of a long text is read without the rest", () => {
  const text = new GrowingText();
  for (let i = 0; i < 50_000; i++) text.append(`${i} `);
  for (const index of [0, 1000, text.text.length - 7, text.text.length]) {
    expect(text.from(index)).toBe(text.text.slice(index));
  }
});

describe("the status", () => {
  const statuses: StreamStatus[] = [
    "pending",
    "streaming",
    "done",
    "error",
    "timeout",
    "aborted",
  ];

  test("is streaming as soon as there is text", () => {
    const prefix = createPrefix();
    expect(prefix.status).toBe("pending");
    prefix.receive(0, "a");
    expect(prefix.status).toBe("streaming");
  });

  test.each(statuses.filter(isFinal))("stays %s for ever", (final) => {
    for (const later of statuses) {
      const prefix = createPrefix();
      prefix.update(final);
      prefix.update(later);
      expect(prefix.status).toBe(final);
    }
  });

  test("does not go back to pending", () => {
    const prefix = createPrefix();
    prefix.update("streaming");
    prefix.update("pending");
    expect(prefix.status).toBe("streaming");
  });
});
