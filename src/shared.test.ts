import { ConvexError } from "convex/values";
import { describe, expect, test } from "vitest";
import {
  cutLength,
  isFinal,
  isStreamError,
  streamError,
  vStreamStatus,
} from "./shared.js";

test("a stream with any status but these two has ended", () => {
  const final = vStreamStatus.members.map(({ value }) => value).filter(isFinal);
  expect(final.sort()).toEqual(["aborted", "done", "error", "timeout"]);
});

test.each([
  { text: "abc", length: 2, cut: 2 },
  { text: "abc", length: 3, cut: 3 },
  { text: "abc", length: 99, cut: 3 },
  { text: "abc", length: 0, cut: 0 },
  { text: "abc", length: -1, cut: 0 },
  { text: "", length: 5, cut: 0 },
  { text: "a😀b", length: 1, cut: 1 },
  { text: "a😀b", length: 2, cut: 1 },
  { text: "a😀b", length: 3, cut: 3 },
  { text: "😀😀", length: 3, cut: 2 },
  { text: "中文", length: 1, cut: 1 },
])("$text can be cut at $cut, if not at $length", ({ text, length, cut }) => {
  expect(cutLength(text, length)).toBe(cut);
});

describe("isStreamError", () => {
  const error = streamError("StreamNotFound", "k57", "There is no stream k57.");

  test("knows this package's errors by their kind", () => {
    expect(isStreamError(error)).toBe(true);
    expect(isStreamError(error, "StreamNotFound")).toBe(true);
    expect(isStreamError(error, "StreamEnded")).toBe(false);
    expect(error).toBeInstanceOf(ConvexError);
    expect(error.message).toBe("There is no stream k57.");
    expect(error.data).toEqual({
      kind: "StreamNotFound",
      message: "There is no stream k57.",
      streamId: "k57",
    });
  });

  test.each([
    undefined,
    null,
    "StreamNotFound",
    new Error("There is no stream k57."),
    new ConvexError("StreamNotFound"),
    new ConvexError({ kind: "StreamNotFound" }),
    new ConvexError({ kind: "toString", message: "", streamId: "" }),
    new ConvexError({ kind: "Refused", message: "Not yours.", streamId: "" }),
  ])("does not take %s for one", (thrown) => {
    expect(isStreamError(thrown)).toBe(false);
  });

  test("the id in its data can always be sent", () => {
    const { streamId } = streamError("StreamNotFound", "\ud83d", "None.").data;
    expect(streamId).toBe("\ufffd");
    const long = streamError("StreamNotFound", "x".repeat(1e6), "None.");
    expect(long.data.streamId.length).toBeLessThan(200);
  });
});
