/** A page that is nothing but readers of streams. A test drives it by `window.lab`. */
import { ConvexReactClient } from "convex/react";
import { makeFunctionReference } from "convex/server";
import { Reader, type ReaderProps } from "../../support/reader.js";

const search = new URLSearchParams(location.search);
const strict = search.has("strict");
const deployment = search.get("deployment") ?? "";
const client = new ConvexReactClient(deployment);

const create = makeFunctionReference<"mutation", Record<string, never>, string>(
  "chat:create",
);

const readers: Reader[] = [];
const lab = {
  mount: (props: ReaderProps) =>
    readers.push(new Reader(client, props, strict)) - 1,
  /** Calls a mutation, as a page does that creates a stream. */
  create: () => client.mutation(create, {}),
  /** Whether the page knows that it is connected. */
  isConnected: () => client.connectionState().isWebSocketConnected,
  reader: (index: number) => readers[index]!,
};
export type Lab = typeof lab;
(window as unknown as { lab: Lab }).lab = lab;
