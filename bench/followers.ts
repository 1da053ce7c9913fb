/** Readers of one stream, each with its own connection, like browsers. */
import { EventEmitter, once } from "node:events";
import {
  ConvexReactClient,
  type ConvexReactClientOptions,
  type Watch,
} from "convex/react";
import { makeFunctionReference, type FunctionReference } from "convex/server";
import { WebSocket } from "ws";
import { watchStream } from "../src/browser/index.js";
import { isFinal, type StreamStatus } from "../src/shared.js";
import type { Target } from "./targets.js";

export function connect(url: string): ConvexReactClient {
  return new ConvexReactClient(url, {
    webSocketConstructor:
      WebSocket as unknown as ConvexReactClientOptions["webSocketConstructor"],
    unsavedChangesWarning: false,
    logger: false,
  });
}

/** How far a follower is, by its newest result. */
export interface Progress {
  /** How much of the saved text it has: code units, or parts. */
  has: number;
  /** How much text that is (UTF-16 code units). */
  characters: number;
  ended: boolean;
}

/** A follower keeps a subscription, the one that its package keeps. */
class Follower extends EventEmitter<{ progress: [Progress] }> {
  progress: Progress = { has: -1, characters: 0, ended: false };

  /** Resolves when it has so much, and its present subscription has been answered. */
  async reached(has: number): Promise<void> {
    while (!this.progress.ended && this.progress.has < has) {
      await once(this, "progress");
    }
  }

  ended = () => this.reached(Infinity);

  /** Called with every result of its present subscription. */
  update = (progress: Progress): void => {
    this.progress = progress;
    this.emit("progress", progress);
  };
}

export function follow(
  client: ConvexReactClient,
  kind: Target["follower"],
  streamId: string,
): Follower {
  const follower = new Follower();
  const onBody = (body: Body) => follower.update(progressOf(body));
  if (kind === "deltas") followDeltas(client, streamId, follower.update);
  else if (kind === "useQuery") subscribe(client, body, { streamId }, onBody);
  else {
    const incremental = kind === "pages";
    const options = { streamId, incremental };
    watchStream(overheard(client, onBody), incremental ? page : body, options);
  }
  return follower;
}

type Body = { text: string; status: string; from?: number };
type Args = Record<string, unknown>;

const body = makeFunctionReference<"query", Args, Body>("streams:body");
const page = makeFunctionReference<"query", Args, Body>("streams:page");
const deltas = makeFunctionReference<"query", Args, Deltas>("streams:deltas");

function progressOf({ text, status, from = 0 }: Body): Progress {
  const characters = from + text.length;
  const ended = isFinal(status as StreamStatus);
  return { has: characters, characters, ended };
}

function subscribe<Result>(
  client: ConvexReactClient,
  query: FunctionReference<"query", "public", Args, Result>,
  args: Args,
  onResult: (result: Result) => void,
): () => void {
  const watch = client.watchQuery(query, args);
  return watch.onUpdate(() => {
    const result = watch.localQueryResult();
    if (result !== undefined) onResult(result);
  });
}

/** A client for this package's reader, which calls back with each result of its newest subscription. */
function overheard(client: ConvexReactClient, onBody: (body: Body) => void) {
  let newest: Watch<Body>;
  return {
    watchQuery: (query: FunctionReference<"query">, args: object) => {
      const watch = client.watchQuery(query, args) as Watch<Body>;
      return {
        ...watch,
        onUpdate: (callback: () => void) => {
          newest = watch;
          return watch.onUpdate(() => {
            callback();
            const result = newest.localQueryResult();
            if (result !== undefined) onBody(result);
          });
        },
      };
    },
  };
}

interface Delta {
  start: number;
  end: number;
  parts: { type: string; delta?: string }[];
}

type Deltas =
  | { kind: "list"; messages: { streamId: string; status: string }[] }
  | { kind: "deltas"; deltas: Delta[] };

/**
 * As the agent's documentation describes its hooks: one subscription to the list
 * of streams, and one to the deltas after a cursor, which moves with each.
 */
function followDeltas(
  client: ConvexReactClient,
  threadId: string,
  update: (progress: Progress) => void,
): void {
  const progress = { has: 0, characters: 0, ended: false };
  let unfollow: (() => void) | null = null;

  function readOn(streamId: string): void {
    const cursors = [{ streamId, cursor: progress.has }];
    const args = { threadId, streamArgs: { kind: "deltas", cursors } };
    unfollow = subscribe(client, deltas, args, (result) => {
      if (result.kind !== "deltas") return;
      const news = result.deltas.filter(({ start }) => start >= progress.has);
      for (const { end, parts } of news) {
        progress.has = end;
        for (const { delta = "" } of parts) progress.characters += delta.length;
      }
      if (news.length > 0) {
        unfollow?.();
        readOn(streamId);
      } else update({ ...progress });
    });
  }

  const args = { threadId, streamArgs: { kind: "list", startOrder: 0 } };
  subscribe(client, deltas, args, (result) => {
    if (result.kind !== "list") return;
    const [stream] = result.messages;
    progress.ended = stream?.status === "finished";
    if (stream !== undefined && unfollow === null) readOn(stream.streamId);
    if (stream === undefined || progress.ended) update({ ...progress });
  });
}
