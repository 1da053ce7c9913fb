/**
 * What TypeScript sees of the package. The assertions are checked by `tsc`;
 * that the file runs shows no more than that it is there.
 */
import {
  type ApiFromModules,
  type DataModelFromSchemaDefinition,
  defineSchema,
  defineTable,
  type DefaultFunctionArgs,
  type FunctionReference,
  type FunctionType,
  type FunctionVisibility,
  type GenericActionCtx,
  type GenericDataModel,
  type GenericMutationCtx,
  type GenericQueryCtx,
  type HttpRouter,
} from "convex/server";
import { type GenericId, type Infer, v } from "convex/values";
import { describe, expectTypeOf, test } from "vitest";
import type { api } from "../component/_generated/api.js";
import type { ComponentApi } from "../component/_generated/component.js";
import {
  type BackgroundWriter,
  type ChunkAppender,
  type FlushBoundary,
  type FlushOptions,
  type HookAPI,
  PersistentTextStreaming,
  type PersistentTextStreamingOptions,
  type StreamBody,
  type StreamEnd,
  type StreamId,
  StreamIdValidator,
  type StreamPage,
  type StreamStatus,
  type StreamWriter,
  vOnCompleteArgs,
  type vStreamBody,
  type vStreamId,
  type vStreamPage,
  type vStreamStatus,
} from "./index.js";

const _schema = defineSchema({
  messages: defineTable({ prompt: v.string(), stream: StreamIdValidator }),
});
/** The ctx types of an app's `_generated/server`. */
type DataModel = DataModelFromSchemaDefinition<typeof _schema>;
type QueryCtx = GenericQueryCtx<DataModel>;
type MutationCtx = GenericMutationCtx<DataModel>;
type ActionCtx = GenericActionCtx<DataModel>;

declare const streaming: PersistentTextStreaming;
declare const component: ComponentApi;
declare const id: StreamId;
declare const request: Request;

/** Type-checked, and never called. */
const onlyTypes = (_: () => unknown) => {};

describe("types", () => {
  test("StreamId is a string with a brand", () => {
    expectTypeOf<StreamId>().toExtend<string>();
    expectTypeOf<string>().not.toExtend<StreamId>();
    expectTypeOf<StreamId>().toEqualTypeOf<string & { __isStreamId: true }>();
    expectTypeOf<Infer<typeof StreamIdValidator>>().toEqualTypeOf<string>();
  });

  test("StreamStatus and StreamBody", () => {
    expectTypeOf<StreamStatus>().toEqualTypeOf<
      "pending" | "streaming" | "done" | "error" | "timeout" | "aborted"
    >();
    // The five of version 0.3: apps write them down in `returns` and in maps.
    expectTypeOf<StreamBody>().toEqualTypeOf<{
      text: string;
      status: "pending" | "streaming" | "done" | "error" | "timeout";
    }>();
    expectTypeOf<StreamPage["status"]>().toEqualTypeOf<StreamStatus>();
    expectTypeOf<StreamPage["from"]>().toEqualTypeOf<number>();
    expectTypeOf<StreamPage["next"]>().toEqualTypeOf<number>();
    expectTypeOf<StreamPage["claimed"]>().toEqualTypeOf<boolean>();
  });

  test("the validators say what the types say", () => {
    expectTypeOf<Infer<typeof vStreamId>>().toEqualTypeOf<StreamId>();
    expectTypeOf<Infer<typeof vStreamStatus>>().toEqualTypeOf<StreamStatus>();
    expectTypeOf<Infer<typeof vStreamBody>>().toEqualTypeOf<StreamBody>();
    expectTypeOf<Infer<typeof vStreamPage>>().toEqualTypeOf<StreamPage>();
  });

  test("ChunkAppender, StreamWriter and BackgroundWriter", () => {
    expectTypeOf<ChunkAppender>().toEqualTypeOf<
      (text: string) => Promise<void>
    >();
    expectTypeOf<Parameters<StreamWriter<ActionCtx>>>().toEqualTypeOf<
      [ActionCtx, Request, StreamId, ChunkAppender, AbortSignal]
    >();
    expectTypeOf<Parameters<BackgroundWriter>>().toEqualTypeOf<
      [ChunkAppender, AbortSignal]
    >();
    type Generator = () => AsyncGenerator<string, void, unknown>;
    expectTypeOf<Generator>().toExtend<StreamWriter<ActionCtx>>();
    expectTypeOf<Generator>().toExtend<BackgroundWriter>();
    expectTypeOf<
      () => AsyncIterable<number>
    >().not.toExtend<BackgroundWriter>();
  });

  test("the constructor takes what codegen makes, and options", () => {
    expectTypeOf<
      [component: ComponentApi, options?: PersistentTextStreamingOptions]
    >().toExtend<ConstructorParameters<typeof PersistentTextStreaming>>();
    expectTypeOf<ComponentApi<"drafts">>().toExtend<ComponentApi>();
    expectTypeOf<PersistentTextStreamingOptions["flush"]>().toEqualTypeOf<
      "sentence" | "line" | FlushOptions | undefined
    >();
    expectTypeOf<FlushBoundary>().toEqualTypeOf<
      "sentence" | "line" | ((buffered: string) => boolean)
    >();
    expectTypeOf<(typeof api)["lib"]>().toHaveProperty("getStreamText");
    onlyTypes(() => [
      new PersistentTextStreaming(component),
      new PersistentTextStreaming(component, { flush: "line" }),
      // @ts-expect-error There is no such boundary.
      new PersistentTextStreaming(component, { flush: "word" }),
      // @ts-expect-error Nor such an option.
      new PersistentTextStreaming(component, { flush: { maxWords: 10 } }),
    ]);
  });
});

describe("onComplete", () => {
  const _args = vOnCompleteArgs(v.object({ messageId: v.id("messages") }));
  type Args = Infer<typeof _args>;
  /** What an app's `internal` holds of a function. */
  const reference = <
    Type extends FunctionType,
    Visibility extends FunctionVisibility,
    A extends DefaultFunctionArgs,
  >() => ({}) as FunctionReference<Type, Visibility, A, null>;

  const ctx = {} as MutationCtx;

  test("is an internal mutation that takes what it is told", () => {
    expectTypeOf<Args["context"]>().toEqualTypeOf<{
      messageId: GenericId<"messages">;
    }>();
    expectTypeOf<Args["status"]>().toEqualTypeOf<StreamEnd>();
    onlyTypes(() => [
      streaming.createStream(ctx, {
        onComplete: reference<"mutation", "internal", Args>(),
        context: { messageId: "m1" },
      }),
      streaming.createStream(ctx, {
        // @ts-expect-error It is one transaction with the end, so no action.
        onComplete: reference<"action", "internal", Args>(),
      }),
      streaming.createStream(ctx, {
        // @ts-expect-error Nobody else may call it.
        onComplete: reference<"mutation", "public", Args>(),
      }),
      streaming.createStream(ctx, {
        // @ts-expect-error The result, the length and the context have no field to go to.
        onComplete: reference<
          "mutation",
          "internal",
          Pick<Args, "streamId" | "status" | "error">
        >(),
      }),
    ]);
  });
});

describe("ctx", () => {
  type Ctx<
    Method extends
      | "createStream"
      | "getStreamBody"
      | "abortStream"
      | "deleteStream"
      | "generate",
  > = Parameters<PersistentTextStreaming[Method]>[0];

  test("any ctx fits, generated or generic, if it has what is used", () => {
    type Generic = GenericMutationCtx<GenericDataModel>;
    type Writing =
      | Pick<MutationCtx, "runMutation">
      | Pick<Generic, "runMutation">
      | Pick<ActionCtx, "runMutation">;
    expectTypeOf<Writing>().toExtend<Ctx<"createStream">>();
    expectTypeOf<Writing>().toExtend<Ctx<"abortStream">>();
    expectTypeOf<Writing>().toExtend<Ctx<"deleteStream">>();
    expectTypeOf<
      Pick<QueryCtx | MutationCtx | ActionCtx, "runQuery">
    >().toExtend<Ctx<"getStreamBody">>();
    expectTypeOf<Pick<ActionCtx, "runQuery" | "runMutation">>().toExtend<
      Ctx<"generate">
    >();
  });

  test("a query cannot write", () => {
    expectTypeOf<QueryCtx>().not.toExtend<Ctx<"createStream">>();
    expectTypeOf<QueryCtx>().not.toExtend<Ctx<"deleteStream">>();
    expectTypeOf<QueryCtx>().not.toExtend<Ctx<"generate">>();
  });
});

describe("the methods", () => {
  test("stream infers the writer's ctx, whatever it is", () => {
    onlyTypes(async () => {
      const ctx = {} as ActionCtx;
      const response = await streaming.stream(
        ctx,
        request,
        id,
        async (writerCtx, writerRequest, streamId, append, signal) => {
          expectTypeOf(writerCtx).toEqualTypeOf<ActionCtx>();
          expectTypeOf(writerRequest).toEqualTypeOf<Request>();
          expectTypeOf(streamId).toEqualTypeOf<StreamId>();
          expectTypeOf(append).toEqualTypeOf<ChunkAppender>();
          expectTypeOf(signal).toEqualTypeOf<AbortSignal>();
          await append("");
        },
      );
      expectTypeOf(response).toEqualTypeOf<Response>();

      const own = {} as ActionCtx & { model: string };
      await streaming.stream(own, request, id, async function* ({ model }) {
        expectTypeOf(model).toEqualTypeOf<string>();
        yield await Promise.resolve(model);
      });
      const writer: StreamWriter<ActionCtx> = async () => {};
      await streaming.stream(ctx, request, id, writer);
      // @ts-expect-error A plain string is no StreamId.
      await streaming.stream(ctx, request, "id", writer);
    });
  });

  test("getStreamBody gives a body, and with from a page", () => {
    onlyTypes(async () => {
      const ctx = {} as QueryCtx;
      expectTypeOf(
        await streaming.getStreamBody(ctx, id),
      ).toEqualTypeOf<StreamBody>();
      expectTypeOf(
        await streaming.getStreamBody(ctx, id, 7),
      ).toEqualTypeOf<StreamPage>();
      const from = 7 as number | undefined;
      expectTypeOf(await streaming.getStreamBody(ctx, id, from)).toEqualTypeOf<
        StreamBody | StreamPage
      >();
    });
  });

  test("what the others return", () => {
    type Returned<Method extends keyof PersistentTextStreaming> =
      PersistentTextStreaming[Method] extends (...args: never[]) => infer R
        ? R
        : never;
    expectTypeOf<Returned<"createStream">>().toEqualTypeOf<Promise<StreamId>>();
    expectTypeOf<Returned<"generate">>().toEqualTypeOf<Promise<boolean>>();
    expectTypeOf<Returned<"abortStream">>().toEqualTypeOf<Promise<void>>();
    expectTypeOf<Returned<"deleteStream">>().toEqualTypeOf<Promise<void>>();
    expectTypeOf<Returned<"resume">>().toEqualTypeOf<Promise<Response>>();
    expectTypeOf<
      Parameters<PersistentTextStreaming["resume"]>[3]
    >().toEqualTypeOf<{ from?: number; tail?: number } | undefined>();
  });
});

describe("hookAPI and registerRoutes", () => {
  test("the functions have types of their own, though the rule calls one of them", () => {
    onlyTypes(() => {
      // As in an app, whose `_generated/api` has the types of all its files.
      const { chat } = {} as ApiFromModules<{ chat: typeof exported }>;
      const exported = streaming.hookAPI({
        authorize: async (ctx: QueryCtx, { streamId, operation }) => {
          const message = await ctx.db.query("messages").first();
          expectTypeOf(message?.prompt).toEqualTypeOf<string | undefined>();
          expectTypeOf(streamId).toEqualTypeOf<StreamId>();
          expectTypeOf(operation).toEqualTypeOf<"read" | "write" | "abort">();
          await ctx.runQuery(chat.authorizeStream, { streamId, operation });
        },
      });
      expectTypeOf(chat.getStreamBody._returnType).toEqualTypeOf<StreamPage>();
      expectTypeOf(chat.abortStream._visibility).toEqualTypeOf<"public">();
      expectTypeOf(chat.authorizeStream._type).toEqualTypeOf<"query">();
      return exported;
    });
  });

  test("a rule that is missing, or returns its verdict, is refused", () => {
    onlyTypes(() => [
      // @ts-expect-error It must throw.
      streaming.hookAPI({ authorize: () => false }),
      // @ts-expect-error It must be there.
      streaming.hookAPI({}),
    ]);
  });

  test("write and authorize take the ctx of the app, annotated or not", () => {
    onlyTypes(() => {
      const http = {} as HttpRouter;
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
        // @ts-expect-error A mutation cannot say who may read.
        authorize: chat.abortStream,
        // @ts-expect-error Text is not a writer.
        write: () => "text",
      });
      // @ts-expect-error Everyone is let in only where the app says so.
      streaming.registerRoutes(http, { path: "/", write: async () => {} });
    });
  });
});
