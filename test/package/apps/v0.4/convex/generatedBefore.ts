/** An app whose generated files are those of 0.3.0: the component spelled out, with five functions. */
import {
  PersistentTextStreaming,
  type FlushBoundary,
  type FlushOptions,
  type PersistentTextStreamingOptions,
} from "@convex-dev/persistent-text-streaming";
import type { FunctionReference } from "convex/server";

type Status = "pending" | "streaming" | "done" | "error" | "timeout";
type Internal<
  Type extends "query" | "mutation",
  Args extends Record<string, unknown>,
  Result,
> = FunctionReference<Type, "internal", Args, Result>;

declare const spelledOut: {
  lib: {
    addChunk: Internal<
      "mutation",
      { final: boolean; streamId: string; text: string },
      // As the CLI writes what has no `returns`.
      // eslint-disable-next-line @typescript-eslint/no-explicit-any
      any
    >;
    createStream: Internal<"mutation", Record<string, never>, string>;
    getStreamStatus: Internal<"query", { streamId: string }, Status>;
    getStreamText: Internal<
      "query",
      { streamId: string },
      { status: Status; text: string }
    >;
    setStreamStatus: Internal<
      "mutation",
      { status: Status; streamId: string },
      null
    >;
  };
};

const boundary: FlushBoundary = (buffered) => buffered.endsWith("\n\n");
const flush: FlushOptions = { boundary, maxChars: 500, maxDelayMs: 300 };
const options: PersistentTextStreamingOptions = { flush };
export const streamingOf = () =>
  new PersistentTextStreaming(spelledOut, options);
