/* eslint-disable */
/**
 * Generated `api` utility.
 *
 * THIS CODE IS AUTOMATICALLY GENERATED.
 *
 * To regenerate, run `npx convex dev`.
 * @module
 */

import type * as access from "../access.js";
import type * as assistant from "../assistant.js";
import type * as assistantMessages from "../assistantMessages.js";
import type * as assistantModel from "../assistantModel.js";
import type * as assistantNode from "../assistantNode.js";
import type * as chat from "../chat.js";
import type * as conversations from "../conversations.js";
import type * as http from "../http.js";
import type * as limits from "../limits.js";
import type * as messages from "../messages.js";
import type * as model from "../model.js";
import type * as streaming from "../streaming.js";
import type * as tides from "../tides.js";
import type * as writers from "../writers.js";

import type {
  ApiFromModules,
  FilterApi,
  FunctionReference,
} from "convex/server";

declare const fullApi: ApiFromModules<{
  access: typeof access;
  assistant: typeof assistant;
  assistantMessages: typeof assistantMessages;
  assistantModel: typeof assistantModel;
  assistantNode: typeof assistantNode;
  chat: typeof chat;
  conversations: typeof conversations;
  http: typeof http;
  limits: typeof limits;
  messages: typeof messages;
  model: typeof model;
  streaming: typeof streaming;
  tides: typeof tides;
  writers: typeof writers;
}>;

/**
 * A utility for referencing Convex functions in your app's public API.
 *
 * Usage:
 * ```js
 * const myFunctionReference = api.myModule.myFunction;
 * ```
 */
export declare const api: FilterApi<
  typeof fullApi,
  FunctionReference<any, "public">
>;

/**
 * A utility for referencing Convex functions in your app's internal API.
 *
 * Usage:
 * ```js
 * const myFunctionReference = internal.myModule.myFunction;
 * ```
 */
export declare const internal: FilterApi<
  typeof fullApi,
  FunctionReference<any, "internal">
>;

export declare const components: {
  persistentTextStreaming: import("@convex-dev/persistent-text-streaming/_generated/component.js").ComponentApi<"persistentTextStreaming">;
};
