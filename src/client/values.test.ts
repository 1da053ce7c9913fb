import { anyApi } from "convex/server";
import { ConvexError } from "convex/values";
import { beforeEach, describe, expect, test, vi } from "vitest";
import { errorsLogged } from "../../test/support/setup.js";
import { reasonOf, resultOf, shown } from "./values.js";

let logged: ReturnType<typeof errorsLogged>;
beforeEach(() => {
  vi.restoreAllMocks();
  logged = errorsLogged();
});

/** Values that Convex cannot store, or that are too large for a result (4 KiB of JSON). */
const unstorable = [new Date(), "\ud83d", "x".repeat(4095), "中".repeat(1365)];

describe("the result of a writer that returns", () => {
  test.each<[unknown, unknown]>([
    [{ tokens: 3, no: undefined }, { tokens: 3 }],
    [{ all: "x".repeat(4086) }, { all: "x".repeat(4086) }],
    // Six characters, not half of one.
    [{ code: "\\ud83d" }, { code: "\\ud83d" }],
    [undefined, undefined],
    [null, undefined],
    ["text", undefined],
    [["text"], undefined],
    [(async function* () {})(), undefined],
  ])("%o", (returned, result) => {
    expect(resultOf("id", returned)).toEqual(result);
    expect(logged).not.toHaveBeenCalled();
  });

  test.each(unstorable)("what cannot be stored, and is logged: %#", (value) => {
    expect(resultOf("id", { value })).toBeUndefined();
    expect(logged).toHaveBeenCalledOnce();
  });
});

describe("why a writer failed:", () => {
  const generic = { kind: "WriterFailed", message: "The writer failed." };
  const message = "Too busy.";
  test.each<[unknown, object]>([
    [new Error("secret"), generic],
    [undefined, generic],
    [new ConvexError(message), { ...generic, message, data: message }],
    [new ConvexError({ message }), { ...generic, message, data: { message } }],
    [new ConvexError({ message: 7 }), { ...generic, data: { message: 7 } }],
    [new ConvexError(null), { ...generic, data: null }],
  ])("%s", (thrown, reason) => {
    expect(reasonOf("id", thrown)).toEqual(reason);
    expect(logged).not.toHaveBeenCalled();
  });

  test.each(unstorable)(
    "data that cannot be stored, and is logged: %#",
    (data) => {
      const thrown = { [Symbol.for("ConvexError")]: true, data };
      expect(reasonOf("id", thrown)).toEqual(generic);
      expect(logged).toHaveBeenCalledOnce();
    },
  );
});

test.each<[string, unknown]>([
  ['"text"', "text"],
  [`"${"x".repeat(100)}"`, "x".repeat(100)],
  [`"${"x".repeat(100)}"… (101 characters)`, "x".repeat(101)],
  ["null", null],
  ["undefined", undefined],
  ["7", 7],
  ["a function", () => {}],
  ["an object (Object)", {}],
  ["an object (Array)", ["text"]],
  ["an object (without a class)", Object.create(null)],
  // A reference has every field.
  ["an object (without a class)", anyApi["chat"]],
])("an error shows %s", (text, value) => {
  expect(shown(value)).toBe(text);
});
