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

declare const url: URL;
declare const id: StreamId | undefined;

test("the surface of version 0.3 compiles as it was", () => {
  function App() {
    const query = {} as Plain;
    const body: StreamBody = useStream(query, url, true, id);
    useStream(query, url, false, id, { authToken: null });
    useStream(query, url, false, id, { authToken: "…", headers: { A: "b" } });
    return body;
  }
  expectTypeOf(App).returns.toEqualTypeOf<StreamBody>();
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
