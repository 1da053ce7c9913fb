import {
  type GenericQueryCtx,
  internalQueryGeneric,
  mutationGeneric,
  queryGeneric,
  type RegisteredMutation,
  type RegisteredQuery,
} from "convex/server";
import { v } from "convex/values";
import {
  type StreamId,
  StreamIdValidator,
  type StreamPage,
  vStreamPage,
} from "../shared.js";
import { shown } from "./values.js";
import type { PersistentTextStreaming } from "./index.js";
import { streamBodyArgs } from "./options.js";

/*
 * The functions for a page that apps would otherwise write by hand around
 * `getStreamBody()` and `abortStream()`. Each applies the app's rule first.
 */

/*
 * Apps annotate `ctx` with their own type. Only `any` allows that without a type
 * argument, which would make `_generated/api` circular.
 */
// eslint-disable-next-line @typescript-eslint/no-explicit-any
type QueryCtx = GenericQueryCtx<any>;

/** What a caller wants to do with a stream: read it, write it, or stop it. */
export type StreamOperation = "read" | "write" | "abort";

/** The options of `hookAPI`. */
export type HookAPIOptions = {
  /**
   * Throws if the caller may not do this with this stream. The message of a
   * `ConvexError` reaches the user.
   */
  authorize: (
    ctx: QueryCtx,
    call: { streamId: StreamId; operation: StreamOperation },
  ) => void | Promise<void>;
};

/** The functions that `hookAPI` returns. */
export type HookAPI = {
  /** A page of a stream, for `useStream` and the other hooks. */
  getStreamBody: RegisteredQuery<
    "public",
    {
      streamId: string;
      from?: number | undefined;
      tail?: number | undefined;
    },
    Promise<StreamPage>
  >;
  /** Stops a stream. */
  abortStream: RegisteredMutation<
    "public",
    { streamId: string },
    Promise<null>
  >;
  /** Applies `authorize` for `registerRoutes`. */
  authorizeStream: RegisteredQuery<
    "internal",
    { streamId: string; operation: StreamOperation },
    Promise<null>
  >;
};

type Methods = Pick<PersistentTextStreaming, "getStreamBody" | "abortStream">;

/** The functions of `hookAPI`. */
export function hookAPI(streaming: Methods, options: HookAPIOptions): HookAPI {
  const authorize = checkHookOptions(options);
  const allow = async (
    ctx: QueryCtx,
    id: string,
    operation: StreamOperation,
  ) => {
    const streamId = id as StreamId;
    checkVerdict("hookAPI", await authorize(ctx, { streamId, operation }));
    return streamId;
  };
  return {
    getStreamBody: queryGeneric({
      args: { ...streamBodyArgs, streamId: StreamIdValidator },
      returns: vStreamPage,
      handler: async (ctx: QueryCtx, args): Promise<StreamPage> => {
        const { from, tail } = args;
        const streamId = await allow(ctx, args.streamId, "read");
        return tail === undefined
          ? streaming.getStreamBody(ctx, streamId, from ?? 0)
          : streaming.getStreamBody(ctx, streamId, { from, tail });
      },
    }),
    abortStream: mutationGeneric({
      args: { streamId: StreamIdValidator },
      returns: v.null(),
      handler: async (ctx, { streamId }) => {
        await streaming.abortStream(ctx, await allow(ctx, streamId, "abort"));
        return null;
      },
    }),
    authorizeStream: internalQueryGeneric({
      args: {
        streamId: StreamIdValidator,
        operation: v.union(
          v.literal("read"),
          v.literal("write"),
          v.literal("abort"),
        ),
      },
      returns: v.null(),
      handler: async (ctx: QueryCtx, { streamId, operation }) => {
        await allow(ctx, streamId, operation);
        return null;
      },
    }),
  };
}

function checkHookOptions(options: HookAPIOptions) {
  const { authorize } = Object(options) as { authorize?: unknown };
  if (typeof authorize === "function" && !isConvexFunction(authorize)) {
    return options.authorize;
  }
  throw new TypeError(
    `hookAPI() takes { authorize }, a function (ctx, { streamId, operation }) that throws to refuse; ${isConvexFunction(authorize) ? "this authorize is a Convex function" : `this is ${Object(options) === options ? `{ authorize: ${shown(authorize)} }` : shown(options)}`}.`,
  );
}

/** Returning `false` means no, so it must not count as "did not throw". */
export function checkVerdict(method: string, verdict: unknown): void {
  if (verdict !== false) return;
  throw new TypeError(
    `The authorize function of ${method}() returned false. To refuse, throw, for example a ConvexError.`,
  );
}

/** Whether this is a query, mutation, action or HTTP action, which cannot be called as a function. */
export function isConvexFunction(value: unknown): boolean {
  const marks = ["isQuery", "isMutation", "isAction", "isHttp"];
  return typeof value === "function" && marks.some((mark) => mark in value);
}
