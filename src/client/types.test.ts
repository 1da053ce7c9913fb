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
  expectTypeOf<ChunkAppender>().toEqualTypeOf<
    (text: string) => Promise<void>
  >();
  expectTypeOf<Parameters<StreamWriter<ActionCtx>>>().toEqualTypeOf<
    [ActionCtx, Request, StreamId, ChunkAppender, AbortSignal]
  >();
  expectTypeOf<Parameters<BackgroundWriter>>().toEqualTypeOf<
    [ChunkAppender, AbortSignal]
  >();
  expectTypeOf<() => AsyncIterable<number>>().not.toExtend<BackgroundWriter>();
  onlyTypes(async () => {
    const own = {} as ActionCtx & { model: string };
    await streaming.stream(own, request, id, async function* ({ model }) {
      expectTypeOf(model).toEqualTypeOf<string>();
      yield await Promise.resolve(model);
    });
    const writer: StreamWriter<ActionCtx> = async () => {};
    // @ts-expect-error A plain string is not a StreamId.
    await streaming.stream({} as ActionCtx, request, "id", writer);
  });
});

test("flush options that do not exist", () => {
  onlyTypes(() => [
    // @ts-expect-error There is no such boundary.
    new PersistentTextStreaming(component, { flush: "word" }),
    // @ts-expect-error There is no such option.
    new PersistentTextStreaming(component, { flush: { maxWords: 10 } }),
  ]);
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

test("a method takes any ctx that has what it uses", () => {
  type Ctx<
    Method extends
      | "createStream"
      | "getStreamBody"
      | "abortStream"
      | "deleteStream"
      | "generate",
  > = Parameters<PersistentTextStreaming[Method]>[0];
  type Writing = Ctx<"createStream" | "abortStream" | "deleteStream">;
  type CanWrite = Pick<MutationCtx | ActionCtx, "runMutation">;
  expectTypeOf<CanWrite>().toExtend<Writing>();
  expectTypeOf<Pick<QueryCtx, "runQuery">>().toExtend<Ctx<"getStreamBody">>();
  expectTypeOf<Pick<ActionCtx, "runQuery" | "runMutation">>().toExtend<
    Ctx<"generate">
  >();
  expectTypeOf<QueryCtx>().not.toExtend<Writing | Ctx<"generate">>();
});

test("getStreamBody returns a body, and with `from` a page", () => {
  onlyTypes(async () => {
    const read = (from?: number) =>
      streaming.getStreamBody({} as QueryCtx, id, from);
    expectTypeOf(await read()).toEqualTypeOf<StreamBody | StreamPage>();
    const body = await streaming.getStreamBody({} as QueryCtx, id);
    expectTypeOf(body).toEqualTypeOf<StreamBody>();
    const page = await streaming.getStreamBody({} as QueryCtx, id, 7);
    expectTypeOf(page).toEqualTypeOf<StreamPage>();
  });
});

test("hookAPI: its functions are typed, even if its rule calls one of them", () => {
  onlyTypes(() => {
    // As in an app, whose `_generated/api` has the types of all its files.
    const { chat } = {} as ApiFromModules<{ chat: typeof exported }>;
    const exported = streaming.hookAPI({
      authorize: async (ctx: QueryCtx, { streamId, operation }) => {
        expectTypeOf(streamId).toEqualTypeOf<StreamId>();
        expectTypeOf(operation).toEqualTypeOf<"read" | "write" | "abort">();
        await ctx.runQuery(chat.authorizeStream, { streamId, operation });
      },
    });
    expectTypeOf(chat.getStreamBody._returnType).toEqualTypeOf<StreamPage>();
    expectTypeOf(chat.abortStream._visibility).toEqualTypeOf<"public">();
    expectTypeOf(chat.authorizeStream._type).toEqualTypeOf<"query">();
    return [
      exported,
      // @ts-expect-error It must throw.
      streaming.hookAPI({ authorize: () => false }),
      // @ts-expect-error It is required.
      streaming.hookAPI({}),
    ];
  });
});

test("registerRoutes: write and authorize take the app's ctx, annotated or not", () => {
  onlyTypes(() => {
    const { chat } = {} as ApiFromModules<{ chat: HookAPI }>;
    streaming.registerRoutes(http, {
      path: "/chat",
      authorize: chat.authorizeStream,
      write: async function* (ctx, { streamId, body, signal, append }) {
        expectTypeOf(streamId).toEqualTypeOf<StreamId>();
        expectTypeOf(body).toEqualTypeOf<Record<string, unknown>>();
        expectTypeOf(signal).toEqualTypeOf<AbortSignal>();
        expectTypeOf(append).toEqualTypeOf<ChunkAppender>();
        const { text } = await ctx.runQuery(chat.getStreamBody, { streamId });
        yield text;
      },
    });
    streaming.registerRoutes(http, {
      path: "/own",
      allowedOrigins: ["https://example.com"] as const,
      authorize: async (ctx: ActionCtx, { request, operation }) => {
        expectTypeOf(request).toEqualTypeOf<Request>();
        expectTypeOf(operation).toEqualTypeOf<"read" | "write">();
        await ctx.auth.getUserIdentity();
      },
      write: async (ctx: ActionCtx, { append }) => append(typeof ctx),
    });
    streaming.registerRoutes(http, {
      path: "/bad",
      // @ts-expect-error A mutation cannot decide who may read.
      authorize: chat.abortStream,
      // @ts-expect-error Text is not a writer.
      write: () => "text",
    });
    // @ts-expect-error The app must say that everyone may read.
    streaming.registerRoutes(http, { path: "/", write: async () => {} });
  });
});
