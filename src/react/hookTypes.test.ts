import type { FunctionReference } from "convex/server";
import { expectTypeOf, test } from "vitest";
import type { StreamBody, StreamPage } from "../shared.js";
import type { UseStreamOptions } from "./index.js";

type Plain = FunctionReference<
  "query",
  "public",
  { streamId: string },
  StreamBody
>;
type Paged = FunctionReference<
  "query",
  "public",
  { streamId: string; from?: number },
  StreamBody | StreamPage
>;

type Stripped = FunctionReference<
  "query",
  "public",
  { streamId: string; from?: number },
  StreamBody
>;

test("incremental needs a query that takes `from` and says where its text starts", () => {
  expectTypeOf<{ incremental: true }>().not.toExtend<
    UseStreamOptions<Stripped>
  >();
  expectTypeOf<{ incremental: true }>().toExtend<UseStreamOptions<Paged>>();
  expectTypeOf<{ incremental: boolean }>().toExtend<UseStreamOptions<Paged>>();
  expectTypeOf<{ incremental: true }>().not.toExtend<UseStreamOptions<Plain>>();
  expectTypeOf<{ incremental: false }>().toExtend<UseStreamOptions<Plain>>();
});
