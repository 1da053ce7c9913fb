import type { FunctionReference } from "convex/server";
import { expectTypeOf, test } from "vitest";
import type { StreamId } from "../client/index.js";
import type { StreamBody, StreamPage } from "../shared.js";
import { useStream, type UseStreamOptions } from "./index.js";

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

test("the surface of version 0.3 compiles as it was", () => {
  expectTypeOf(useStream<Plain>).parameters.toExtend<
    [Plain, URL, boolean, StreamId | undefined, unknown?]
  >();
  expectTypeOf(useStream<Plain>).returns.toEqualTypeOf<StreamBody>();
  expectTypeOf<{
    authToken: string;
    headers: Record<string, string>;
  }>().toExtend<UseStreamOptions<Plain>>();
  expectTypeOf<{ authToken: null }>().toExtend<UseStreamOptions<Plain>>();
});

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
