/* eslint-disable */
/**
 * Generated `ComponentApi` utility.
 *
 * THIS CODE IS AUTOMATICALLY GENERATED.
 *
 * To regenerate, run `npx convex dev`.
 * @module
 */

import type { FunctionReference } from "convex/server";

/**
 * A utility for referencing a Convex component's exposed API.
 *
 * Useful when expecting a parameter like `components.myComponent`.
 * Usage:
 * ```ts
 * async function myFunction(ctx: QueryCtx, component: ComponentApi) {
 *   return ctx.runQuery(component.someFile.someQuery, { ...args });
 * }
 * ```
 */
export type ComponentApi<Name extends string | undefined = string | undefined> =
  {
    lib: {
      abort: FunctionReference<
        "mutation",
        "internal",
        { streamId: string },
        null,
        Name
      >;
      addChunk: FunctionReference<
        "mutation",
        "internal",
        { final: boolean; streamId: string; text: string },
        null,
        Name
      >;
      append: FunctionReference<
        "mutation",
        "internal",
        {
          error?: {
            data?: any;
            kind: "WriterFailed" | "CannotSave" | "Stopped" | "TimedOut";
            message: string;
          };
          final?: "done" | "error" | "open";
          owe?: boolean;
          result?: any;
          start: number;
          streamId: string;
          text: string;
          writer: string;
        },
        | "pending"
        | "streaming"
        | "done"
        | "error"
        | "timeout"
        | "aborted"
        | "takenOver"
        | null,
        Name
      >;
      claim: FunctionReference<
        "mutation",
        "internal",
        {
          streamId: string;
          takeOver?: boolean;
          timeoutMs?: number;
          writer: string;
        },
        {
          claimed: boolean;
          start?: number;
          status:
            | "pending"
            | "streaming"
            | "done"
            | "error"
            | "timeout"
            | "aborted"
            | null;
        },
        Name
      >;
      createStream: FunctionReference<"mutation", "internal", {}, string, Name>;
      createWithCallback: FunctionReference<
        "mutation",
        "internal",
        { onComplete: { context?: any; handle: string; name: string } },
        string,
        Name
      >;
      deleteStream: FunctionReference<
        "mutation",
        "internal",
        { streamId: string },
        null,
        Name
      >;
      getClaim: FunctionReference<
        "query",
        "internal",
        { streamId: string; writer: string },
        | "pending"
        | "streaming"
        | "done"
        | "error"
        | "timeout"
        | "aborted"
        | "takenOver"
        | null,
        Name
      >;
      getStatus: FunctionReference<
        "query",
        "internal",
        { streamId: string },
        | "pending"
        | "streaming"
        | "done"
        | "error"
        | "timeout"
        | "aborted"
        | null,
        Name
      >;
      getStreamInfo: FunctionReference<
        "query",
        "internal",
        { streamId: string },
        {
          createdAt: number;
          endedAt?: number;
          error?: {
            data?: any;
            kind: "WriterFailed" | "CannotSave" | "Stopped" | "TimedOut";
            message: string;
          };
          firstTextAt?: number;
          length: number;
          result?: any;
          status:
            "pending" | "streaming" | "done" | "error" | "timeout" | "aborted";
        } | null,
        Name
      >;
      getStreamStatus: FunctionReference<
        "query",
        "internal",
        { streamId: string },
        "pending" | "streaming" | "done" | "error" | "timeout",
        Name
      >;
      getStreamText: FunctionReference<
        "query",
        "internal",
        { streamId: string },
        {
          status: "pending" | "streaming" | "done" | "error" | "timeout";
          text: string;
        },
        Name
      >;
      read: FunctionReference<
        "query",
        "internal",
        { from?: number; streamId: string; tail?: number },
        {
          claimed: boolean;
          draining: boolean;
          error?: {
            data?: any;
            kind: "WriterFailed" | "CannotSave" | "Stopped" | "TimedOut";
            message: string;
          };
          from: number;
          next: number;
          status:
            "pending" | "streaming" | "done" | "error" | "timeout" | "aborted";
          text: string;
          upToDate: boolean;
        } | null,
        Name
      >;
      setStreamStatus: FunctionReference<
        "mutation",
        "internal",
        {
          status:
            "pending" | "streaming" | "done" | "error" | "timeout" | "aborted";
          streamId: string;
        },
        null,
        Name
      >;
      tail: FunctionReference<
        "query",
        "internal",
        { streamId: string },
        {
          draining: boolean;
          offset: number;
          status:
            "pending" | "streaming" | "done" | "error" | "timeout" | "aborted";
        } | null,
        Name
      >;
    };
  };
