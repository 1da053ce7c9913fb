/**
 * What the documents' shorter examples take for granted: that an app has a
 * `streaming`, a `ctx` of the right kind, a model.
 */
import type * as package_ from "@convex-dev/persistent-text-streaming";
import type * as browser from "@convex-dev/persistent-text-streaming/browser";
import type * as react from "@convex-dev/persistent-text-streaming/react";
import type * as test from "@convex-dev/persistent-text-streaming/test";
import type * as convexTest_ from "convex-test";
import type {
  FunctionReference,
  HttpRouter,
  PublicHttpAction,
} from "convex/server";
import type * as values from "convex/values";
import type { LanguageModel, UIMessage } from "ai";
import type * as generatedApi from "../convex/_generated/api";
import type * as server from "../convex/_generated/server";
import type schema_ from "../convex/schema";

declare global {
  type StreamId = package_.StreamId;
  const PersistentTextStreaming: typeof package_.PersistentTextStreaming;
  const StreamIdValidator: typeof package_.StreamIdValidator;
  const streamBodyArgs: typeof package_.streamBodyArgs;
  const useStream: typeof react.useStream;
  const register: typeof test.register;
  const readStream: typeof browser.readStream;
  const readLines: typeof browser.readLines;
  const useStreamLines: typeof react.useStreamLines;
  const convexTest: typeof convexTest_.convexTest;
  const v: typeof values.v;
  const { query, mutation, internalAction, httpAction }: typeof server;
  const api: typeof generatedApi.api;
  const components: typeof generatedApi.components;

  const streaming: package_.PersistentTextStreaming;
  const ctx: server.MutationCtx;
  const schema: typeof schema_;
  const modules: Record<string, () => Promise<unknown>>;
  const args: { prompt: string };
  const writer: package_.StreamWriter<server.ActionCtx>;
  const internal: {
    chat: {
      ownerOf: FunctionReference<
        "query",
        "internal",
        { streamId: string },
        string | null
      >;
      answer: FunctionReference<"action", "internal", { streamId: string }>;
      history: FunctionReference<
        "query",
        "internal",
        { streamId: string },
        UIMessage[]
      >;
    };
  };
  function tokensOfYourModel(signal: AbortSignal): AsyncIterable<string>;
  type ChatEvent =
    | { type: "reasoning" | "text"; delta: string }
    | { type: "tool"; name: string; input: unknown };
  function eventsOfYourModel(signal: AbortSignal): AsyncIterable<ChatEvent>;
  function show(event: ChatEvent): void;
  const events: package_.PersistentTextStreaming;
  function languageModel(): LanguageModel;
  const http: HttpRouter;
  const resumeStream: PublicHttpAction;
  const preflight: PublicHttpAction;
  function withCors(response: Response): Response;
  const model: { textStream(): AsyncIterable<string> };

  const siteUrl: string;
  const url: URL;
  const driven: boolean;
  const streamId: StreamId;
  const message: { responseStreamId: StreamId };
  const authToken: string | null;
}
