import type { FunctionArgs, FunctionReturnType } from "convex/server";
import { expectTypeOf, test } from "vitest";
import type { api } from "../../src/component/_generated/api.js";
import type { ComponentApi } from "../../src/component/_generated/component.js";
import type { Id } from "../../src/component/_generated/dataModel.js";

// The type checker runs these: `npm run typecheck` fails when the generated
// code is out of step with the functions.

/** Derived from the functions. */
type Lib = (typeof api)["lib"];
/** Written out by the code generator. */
type Generated = ComponentApi["lib"];

/** What crosses the boundary of a component: ids are plain strings there. */
type Crossing<T> =
  T extends Id<"streams" | "chunks">
    ? string
    : T extends object
      ? { [K in keyof T]: Crossing<T[K]> }
      : T;

test("the generated code has the component's functions, their arguments and results", () => {
  expectTypeOf<{
    [K in keyof Generated]: FunctionArgs<Generated[K]>;
  }>().toEqualTypeOf<{ [K in keyof Lib]: Crossing<FunctionArgs<Lib[K]>> }>();
  // As the handlers have them, which may be narrower than the validators.
  expectTypeOf<{
    [K in keyof Lib]: Crossing<FunctionReturnType<Lib[K]>>;
  }>().toExtend<{
    [K in keyof Generated]: FunctionReturnType<Generated[K]>;
  }>();
});
