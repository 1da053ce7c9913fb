import { describe, expect, test } from "vitest";
import { type StreamStatus, isFinal } from "../shared.js";
import { Prefix } from "./prefix.js";

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
    const prefix = new Prefix();
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
    const prefix = new Prefix();
    prefix.receive(0, pieces);
    prefix.replace(whole, "streaming");
    expect(prefix.text).toBe(shows);
  });

  test("takes the place of what the query gave before, but for nothing", () => {
    const prefix = new Prefix();
    for (const whole of ["abc▍", "abc", ""]) prefix.replace(whole, "streaming");
    expect(prefix.text).toBe("abc");
  });
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
    const prefix = new Prefix();
    expect(prefix.status).toBe("pending");
    prefix.receive(0, "a");
    expect(prefix.status).toBe("streaming");
  });

  test.each(statuses.filter(isFinal))("stays %s for ever", (final) => {
    for (const later of statuses) {
      const prefix = new Prefix();
      prefix.update(final);
      prefix.update(later);
      expect(prefix.status).toBe(final);
    }
  });

  test("does not go back to pending", () => {
    const prefix = new Prefix();
    prefix.update("streaming");
    prefix.update("pending");
    expect(prefix.status).toBe("streaming");
  });
});
