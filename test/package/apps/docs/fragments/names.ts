/**
 * The names that short examples take for granted: what a package exports, an app's
 * `streaming`, a `ctx` of the right kind, a model.
 */
import type * as package_ from "@convex-dev/persistent-text-streaming";
import type { LanguageModel } from "ai";
import type { CustomBuilder } from "convex-helpers/server/customFunctions";
import type * as server from "convex/server";
import type schema_ from "../convex/schema";

declare global {
  const {
    PersistentTextStreaming,
    vStreamId,
    streamBodyArgs,
    vOnCompleteArgs,
    isStreamError,
  }: typeof package_;
  const {
    useStream,
    useStreamBody,
    useStreamLines,
    useSmoothText,
  }: typeof import("@convex-dev/persistent-text-streaming/react");
  const {
    readStream,
    readLines,
    watchStream,
  }: typeof import("@convex-dev/persistent-text-streaming/browser");
  const {
    PersistentChatTransport,
    encodeUIMessageStream,
  }: typeof import("@convex-dev/persistent-text-streaming/ai");
  const {
    serveDurableStream,
  }: typeof import("@convex-dev/persistent-text-streaming/durable");
  const {
    fakeModel,
    faultyFetch,
  }: typeof import("@convex-dev/persistent-text-streaming/fakes");
  const {
    register,
  }: typeof import("@convex-dev/persistent-text-streaming/test");
  const { convexTest }: typeof import("convex-test");
  const { ConvexClient }: typeof import("convex/browser");
  const { v, ConvexError }: typeof import("convex/values");
  const { default: OpenAI }: typeof import("openai");
  const { useChat }: typeof import("@ai-sdk/react");
  const { streamText, convertToModelMessages }: typeof import("ai");
  const {
    httpRouter,
    queryGeneric: query,
    mutationGeneric: mutation,
    internalMutationGeneric: internalMutation,
    internalActionGeneric: internalAction,
    httpActionGeneric: httpAction,
  }: typeof server;

  // The app's own.
  const { components }: typeof import("../convex/_generated/api");
  const api: any;
  const internal: any;
  const schema: typeof schema_;
  const modules: Record<string, () => Promise<unknown>>;
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
  function getAuthUserId(ctx: QueryCtx): Promise<string | null>;
  function send(text: string): Promise<void>;
  type ChatEvent =
    | { type: "reasoning" | "text"; delta: string }
    | { type: "tool"; name: string; input: unknown };
  function show(event: ChatEvent): void;

  type StreamId = package_.StreamId;
  type QueryCtx = server.GenericQueryCtx<server.GenericDataModel>;
  type ActionCtx = server.GenericActionCtx<server.GenericDataModel>;
  const ctx: server.GenericMutationCtx<server.GenericDataModel> & ActionCtx;
  const streaming: package_.PersistentTextStreaming;
  const writer: package_.StreamWriter<ActionCtx>;
  const http: server.HttpRouter;
  const convex: import("convex/react").ConvexReactClient;
  const model: LanguageModel & { textStream(): AsyncIterable<string> };
  function reply(prompt: string, signal: AbortSignal): AsyncIterable<string>;
  function answer(prompt: string, signal: AbortSignal): AsyncIterable<string>;

  const args: { prompt: string };
  const siteUrl: string;
  const url: string;
  const output: HTMLElement;
  const streamId: StreamId;
  const messageId: string;
  const message: { streamId: StreamId; responseStreamId: StreamId };
}
