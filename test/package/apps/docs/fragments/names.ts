/**
 * The names that short examples take for granted: an app's `streaming`, a `ctx` of the
 * right kind, a model.
 */
import type * as package_ from "@convex-dev/persistent-text-streaming";
import type * as browser from "@convex-dev/persistent-text-streaming/browser";
import type * as durable from "@convex-dev/persistent-text-streaming/durable";
import type * as react from "@convex-dev/persistent-text-streaming/react";
import type * as test from "@convex-dev/persistent-text-streaming/test";
import type * as convexTest_ from "convex-test";
import type { CustomBuilder } from "convex-helpers/server/customFunctions";
import type * as convexBrowser from "convex/browser";
import type * as server from "convex/server";
import type * as values from "convex/values";
import type * as aiReact from "@ai-sdk/react";
import type * as aiSdk from "ai";
import type * as convexReact from "convex/react";
import type * as ai from "@convex-dev/persistent-text-streaming/ai";
import type * as fakes from "@convex-dev/persistent-text-streaming/fakes";
import type OpenAI_ from "openai";
import type * as generatedApi from "../convex/_generated/api";
import type schema_ from "../convex/schema";

declare global {
  type StreamId = package_.StreamId;
  const PersistentTextStreaming: typeof package_.PersistentTextStreaming;
  const StreamIdValidator: typeof package_.StreamIdValidator;
  const streamBodyArgs: typeof package_.streamBodyArgs;
  const vOnCompleteArgs: typeof package_.vOnCompleteArgs;
  const vStreamId: typeof package_.vStreamId;
  const isStreamError: typeof package_.isStreamError;
  const {
    useStream,
    useStreamBody,
    useStreamLines,
    useSmoothText,
  }: typeof react;
  const { readStream, readLines, watchStream }: typeof browser;
  const serveDurableStream: typeof durable.serveDurableStream;
  const register: typeof test.register;
  const convexTest: typeof convexTest_.convexTest;
  const ConvexClient: typeof convexBrowser.ConvexClient;
  const { v, ConvexError }: typeof values;
  const httpRouter: typeof server.httpRouter;
  const query: typeof server.queryGeneric;
  const mutation: typeof server.mutationGeneric;
  const internalMutation: typeof server.internalMutationGeneric;
  const internalAction: typeof server.internalActionGeneric;
  const httpAction: typeof server.httpActionGeneric;
  const userQuery: CustomBuilder<
    "query",
    Record<never, never>,
    { userId: string },
    Record<never, never>,
    QueryCtx,
    "public",
    object
  >;
  function checkOwner(ctx: QueryCtx, streamId: string): Promise<void>;
  type QueryCtx = server.GenericQueryCtx<server.GenericDataModel>;
  const { components }: typeof generatedApi;
  // The app's own functions.
  const api: any;
  const internal: any;
  const { PersistentChatTransport, encodeUIMessageStream }: typeof ai;
  const { fakeModel, faultyFetch }: typeof fakes;
  const OpenAI: typeof OpenAI_;
  const { useChat }: typeof aiReact;
  const { streamText, convertToModelMessages }: typeof aiSdk;
  const convex: convexReact.ConvexReactClient;

  const streaming: package_.PersistentTextStreaming;
  const ctx: server.GenericMutationCtx<server.GenericDataModel> &
    server.GenericActionCtx<server.GenericDataModel>;
  const schema: typeof schema_;
  const modules: Record<string, () => Promise<unknown>>;
  const args: { prompt: string };
  const writer: package_.StreamWriter<
    server.GenericActionCtx<server.GenericDataModel>
  >;
  const http: server.HttpRouter;
  const model: aiSdk.LanguageModel & { textStream(): AsyncIterable<string> };
  function reply(prompt: string, signal: AbortSignal): AsyncIterable<string>;
  function answer(prompt: string, signal: AbortSignal): AsyncIterable<string>;
  function getAuthUserId(ctx: QueryCtx): Promise<string | null>;
  function send(text: string): Promise<void>;
  type ChatEvent =
    | { type: "reasoning" | "text"; delta: string }
    | { type: "tool"; name: string; input: unknown };
  function show(event: ChatEvent): void;

  const siteUrl: string;
  const url: string;
  const output: HTMLElement;
  const streamId: StreamId;
  const messageId: string;
  const message: { streamId: StreamId; responseStreamId: StreamId };
}
