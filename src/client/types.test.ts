/**
 * Types that users rely on, checked by `tsc`. Apps that use all of them in the usual
 * ways are compiled in test/package; here is what must be exact, and what must not
 * compile.
 */
import type {
  ApiFromModules,
  DefaultFunctionArgs,
  FunctionReference,
  GenericActionCtx,
  GenericDataModel,
  GenericMutationCtx,
  GenericQueryCtx,
  HttpRouter,
} from "convex/server";
import { type GenericId, type Infer, v } from "convex/values";
import { expectTypeOf, test } from "vitest";
import type { ComponentApi } from "../component/_generated/component.js";
import {
  type BackgroundWriter,
  type ChunkAppender,
  type CreateStreamOptions,
  type HookAPI,
  PersistentTextStreaming,
  type StreamBody,
  type StreamEnd,
  type StreamId,
  type StreamIdValidator,
  type StreamPage,
  type StreamStatus,
  type StreamWriter,
  vOnCompleteArgs,
  type vStreamBody,
  type vStreamId,
  type vStreamPage,
  type vStreamStatus,
} from "./index.js";

type QueryCtx = GenericQueryCtx<GenericDataModel>;
type MutationCtx = GenericMutationCtx<GenericDataModel>;
type ActionCtx = GenericActionCtx<GenericDataModel>;

declare const streaming: PersistentTextStreaming;
declare const component: ComponentApi;
declare const id: StreamId;
declare const request: Request;
declare const http: HttpRouter;
declare const ctx: ActionCtx & { model: string };
declare const chat: ApiFromModules<{ chat: HookAPI }>["chat"];

/** Type-checked, and never called. */
const onlyTypes = (_: () => unknown) => {};

test("ids, statuses, bodies and pages, and their validators", () => {
  expectTypeOf<StreamId>().toEqualTypeOf<string & { __isStreamId: true }>();
  expectTypeOf<Infer<typeof StreamIdValidator>>().toEqualTypeOf<string>();
  expectTypeOf<StreamStatus>().toEqualTypeOf<
    "pending" | "streaming" | "done" | "error" | "timeout" | "aborted"
  >();
  // The five of version 0.3: apps write them down in `returns` and in maps.
  expectTypeOf<StreamBody>().toEqualTypeOf<{
    text: string;
    status: "pending" | "streaming" | "done" | "error" | "timeout";
  }>();
  expectTypeOf<Infer<typeof vStreamId>>().toEqualTypeOf<StreamId>();
  expectTypeOf<Infer<typeof vStreamStatus>>().toEqualTypeOf<StreamStatus>();
  expectTypeOf<Infer<typeof vStreamBody>>().toEqualTypeOf<StreamBody>();
  expectTypeOf<Infer<typeof vStreamPage>>().toEqualTypeOf<StreamPage>();
});

test("writers", () => {
  expectTypeOf<Parameters<StreamWriter<ActionCtx>>>().toEqualTypeOf<
    [ActionCtx, Request, StreamId, ChunkAppender, AbortSignal]
  >();
  expectTypeOf<Parameters<BackgroundWriter>>().toEqualTypeOf<
    [ChunkAppender, AbortSignal]
  >();
  expectTypeOf<() => AsyncIterable<number>>().not.toExtend<BackgroundWriter>();
  onlyTypes(() =>
    streaming.stream(ctx, request, id, async function* ({ model }) {
      expectTypeOf(model).toEqualTypeOf<string>();
      yield await Promise.resolve(model);
    }),
  );
});

test("onComplete is an internal mutation that takes all it is given", () => {
  const _args = vOnCompleteArgs(v.object({ messageId: v.id("messages") }));
  type Args = Infer<typeof _args>;
  expectTypeOf<Args["context"]["messageId"]>().toEqualTypeOf<
    GenericId<"messages">
  >();
  expectTypeOf<Args["status"]>().toEqualTypeOf<StreamEnd>();
  type OnComplete = NonNullable<CreateStreamOptions["onComplete"]>;
  type Mutation<A extends DefaultFunctionArgs> = FunctionReference<
    "mutation",
    "internal",
    A
  >;
  expectTypeOf<Mutation<Args>>().toExtend<OnComplete>();
  // It must take the result, the length and the context too.
  type Less = Pick<Args, "streamId" | "status" | "error">;
  expectTypeOf<Mutation<Less>>().not.toExtend<OnComplete>();
  // It is one transaction with the end, so not an action.
  type Action = FunctionReference<"action", "internal", Args>;
  expectTypeOf<Action>().not.toExtend<OnComplete>();
  // No client may call it.
  type Public = FunctionReference<"mutation", "public", Args>;
  expectTypeOf<Public>().not.toExtend<OnComplete>();
});

test("a method asks its ctx only for what it uses", () => {
  type Ctx<Method extends keyof PersistentTextStreaming> = Parameters<
    Extract<PersistentTextStreaming[Method], (...args: never[]) => unknown>
  >[0];
  // The others that write take what createStream takes.
  type CanWrite = Pick<MutationCtx | ActionCtx, "runMutation">;
  expectTypeOf<CanWrite>().toExtend<Ctx<"createStream">>();
  expectTypeOf<QueryCtx>().not.toExtend<Ctx<"createStream">>();
  expectTypeOf<Pick<QueryCtx, "runQuery">>().toExtend<Ctx<"getStreamBody">>();
  type CanGenerate = Pick<ActionCtx, "runQuery" | "runMutation">;
  expectTypeOf<CanGenerate>().toExtend<Ctx<"generate">>();
});

test("getStreamBody returns a body, and with `from` a page", () => {
  const read = (from?: number) => streaming.getStreamBody(ctx, id, from);
  expectTypeOf(read).returns.resolves.toEqualTypeOf<StreamBody | StreamPage>();
  const readPage = () => streaming.getStreamBody(ctx, id, 7);
  expectTypeOf(readPage).returns.resolves.toEqualTypeOf<StreamPage>();
});

test("hookAPI: its rule may call one of its functions", () => {
  onlyTypes(() => {
    // As in an app, whose `_generated/api` has the types of all its files.
    const { chat } = {} as ApiFromModules<{ chat: typeof exported }>;
    const exported = streaming.hookAPI({
      authorize: async (ctx: QueryCtx, call) => {
        expectTypeOf(call).toEqualTypeOf<{
          streamId: StreamId;
          operation: "read" | "write" | "abort";
        }>();
        await ctx.runQuery(chat.authorizeStream, call);
      },
    });
    expectTypeOf(chat.getStreamBody._returnType).toEqualTypeOf<StreamPage>();
    return exported;
  });
});

test("registerRoutes: write and authorize take the app's ctx, annotated or not", () => {
  onlyTypes(() =>
    streaming.registerRoutes(http, {
      path: "/chat",
      allowedOrigins: ["https://example.com"] as const,
      authorize: (ctx, { request, operation }) => {
        expectTypeOf(request).toEqualTypeOf<Request>();
        expectTypeOf(operation).toEqualTypeOf<"read" | "write">();
        void ctx.auth.getUserIdentity();
      },
      write: async function* (ctx: ActionCtx, { streamId, body }) {
        expectTypeOf(body).toEqualTypeOf<Record<string, unknown>>();
        const page = await ctx.runQuery(chat.getStreamBody, { streamId });
        yield page.text;
      },
    }),
  );
});

test("what must not compile", () => {
  const path = "/";
  const write = async () => {};
  onlyTypes(() => [
    // @ts-expect-error There is no such boundary.
    new PersistentTextStreaming(component, { flush: "word" }),
    // @ts-expect-error There is no such option.
    new PersistentTextStreaming(component, { flush: { maxWords: 10 } }),
    // @ts-expect-error A plain string is not a StreamId.
    streaming.stream(ctx, request, "id", write),
    // @ts-expect-error It must throw.
    streaming.hookAPI({ authorize: () => false }),
    // @ts-expect-error It is required.
    streaming.hookAPI({}),
    streaming.registerRoutes(http, {
      path,
      write,
      // @ts-expect-error A mutation cannot decide who may read.
      authorize: chat.abortStream,
    }),
    // @ts-expect-error A number is not a writer.
    streaming.registerRoutes(http, { path, authorize: "public", write: 7 }),
    // @ts-expect-error The app must say that everyone may read.
    streaming.registerRoutes(http, { path, write }),
  ]);
});
