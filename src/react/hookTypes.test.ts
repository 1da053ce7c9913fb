import type { FunctionReference } from "convex/server";
import { expectTypeOf, test } from "vitest";
import type { StreamBody, StreamPage } from "../shared.js";
import type { UseStreamOptions } from "./index.js";

type Query<Args, Result> = FunctionReference<
  "query",
  "public",
  Args & { streamId: string },
  Result
>;
type Plain = Query<object, StreamBody>;
type Paged = Query<{ from?: number }, StreamBody | StreamPage>;
type Stripped = Query<{ from?: number }, StreamBody>;

test("incremental needs a query that takes `from` and says where its text starts", () => {
  expectTypeOf<{ incremental: true }>().not.toExtend<
    UseStreamOptions<Stripped>
  >();
  expectTypeOf<{ incremental: true }>().toExtend<UseStreamOptions<Paged>>();
  expectTypeOf<{ incremental: boolean }>().toExtend<UseStreamOptions<Paged>>();
  expectTypeOf<{ incremental: true }>().not.toExtend<UseStreamOptions<Plain>>();
  expectTypeOf<{ incremental: false }>().toExtend<UseStreamOptions<Plain>>();
});
