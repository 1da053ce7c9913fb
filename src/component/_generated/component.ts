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
          final?: "done" | "error";
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
        | null,
        Name
      >;
      claim: FunctionReference<
        "mutation",
        "internal",
        { streamId: string; writer: string },
        {
          claimed: boolean;
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
      deleteStream: FunctionReference<
        "mutation",
        "internal",
        { streamId: string },
        null,
        Name
      >;
      getStreamStatus: FunctionReference<
        "query",
        "internal",
        { streamId: string },
        "pending" | "streaming" | "done" | "error" | "timeout" | "aborted",
        Name
      >;
      getStreamText: FunctionReference<
        "query",
        "internal",
        { streamId: string },
        {
          status:
            "pending" | "streaming" | "done" | "error" | "timeout" | "aborted";
          text: string;
        },
        Name
      >;
      read: FunctionReference<
        "query",
        "internal",
        { from?: number; streamId: string },
        {
          draining: boolean;
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
