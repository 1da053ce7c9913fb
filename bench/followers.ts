/** Readers of one stream, each with its own connection, like browsers. */
import {
  ConvexReactClient,
  type ConvexReactClientOptions,
  type Watch,
} from "convex/react";
import { makeFunctionReference, type FunctionReference } from "convex/server";
import { WebSocket } from "ws";
import { watchStream } from "../src/browser/index.js";
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
export abstract class Follower {
  progress: Progress = { has: -1, characters: 0, ended: false };
  private readonly waiting = new Set<() => void>();

  /** Called with every result of its present subscription. */
  onProgress: (progress: Progress) => void = () => {};

  /** Resolves when it has so much, and its present subscription has been answered. */
  async reached(has: number): Promise<void> {
    const done = () => this.progress.ended || this.progress.has >= has;
    while (!done()) {
      await new Promise<void>((goOn) => this.waiting.add(goOn));
    }
  }

  async ended(): Promise<void> {
    await this.reached(Infinity);
  }

  protected update(progress: Progress): void {
    this.progress = progress;
    this.onProgress(progress);
    for (const goOn of this.waiting) goOn();
    this.waiting.clear();
  }
}

type Body = { text: string; status: string; from?: number };

const isFinal = (status: string) =>
  status !== "pending" && status !== "streaming";

function progressOf({ text, status, from = 0 }: Body): Progress {
  const characters = from + text.length;
  return { has: characters, characters, ended: isFinal(status) };
}

/** What `useQuery` does: one subscription on the whole text. */
class WholeFollower extends Follower {
  constructor(client: ConvexReactClient, streamId: string) {
    super();
    const watch = client.watchQuery(
      makeFunctionReference<"query">("streams:body"),
      { streamId },
    );
    watch.onUpdate(() => {
      const body = watch.localQueryResult() as Body | undefined;
      if (body !== undefined) this.update(progressOf(body));
    });
  }
}

/** What this package's hook does, with its own reader. */
class ReaderFollower extends Follower {
  private watch: Watch<Body> | null = null;

  constructor(
    client: ConvexReactClient,
    streamId: string,
    incremental: boolean,
  ) {
    super();
    const overheard = {
      watchQuery: (query: FunctionReference<"query">, args: object) => {
        const watch = client.watchQuery(query, args) as Watch<Body>;
        return {
          ...watch,
          onUpdate: (callback: () => void) => {
            this.watch = watch;
            return watch.onUpdate(() => {
              callback();
              this.look();
            });
          },
        };
      },
    };
    watchStream(
      overheard,
      makeFunctionReference<"query">(
        incremental ? "streams:page" : "streams:body",
      ),
      { streamId, incremental },
    );
  }

  private look(): void {
    const body = this.watch?.localQueryResult();
    if (body !== undefined) this.update(progressOf(body));
  }
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
class DeltaFollower extends Follower {
  private readonly query = makeFunctionReference<
    "query",
    Record<string, unknown>,
    Deltas
  >("streams:deltas");
  private cursor = 0;
  private unfollow: (() => void) | null = null;
  private characters = 0;
  private finished = false;

  constructor(
    private readonly client: ConvexReactClient,
    private readonly threadId: string,
  ) {
    super();
    const list = client.watchQuery(this.query, {
      threadId,
      streamArgs: { kind: "list", startOrder: 0 },
    });
    list.onUpdate(() => {
      const result = list.localQueryResult();
      if (result?.kind !== "list") return;
      const [stream] = result.messages;
      this.finished = stream?.status === "finished";
      if (stream === undefined) this.report();
      else if (this.unfollow === null) this.readOn(stream.streamId);
      if (this.finished) this.report();
    });
  }

  private readOn(streamId: string): void {
    const deltas = this.client.watchQuery(this.query, {
      threadId: this.threadId,
      streamArgs: {
        kind: "deltas",
        cursors: [{ streamId, cursor: this.cursor }],
      },
    });
    this.unfollow = deltas.onUpdate(() => {
      const result = deltas.localQueryResult();
      if (result?.kind !== "deltas") return;
      const news = result.deltas.filter(({ start }) => start >= this.cursor);
      for (const { end, parts } of news) {
        this.cursor = end;
        for (const { delta = "" } of parts) this.characters += delta.length;
      }
      if (news.length > 0) {
        this.unfollow?.();
        this.readOn(streamId);
      } else this.report();
    });
  }

  /** Its present subscription has been answered. */
  private report(): void {
    const { cursor: has, characters, finished: ended } = this;
    this.update({ has, characters, ended });
  }
}

export function follow(
  client: ConvexReactClient,
  kind: Target["follower"],
  streamId: string,
): Follower {
  switch (kind) {
    case "pages":
      return new ReaderFollower(client, streamId, true);
    case "reader":
      return new ReaderFollower(client, streamId, false);
    case "useQuery":
      return new WholeFollower(client, streamId);
    case "deltas":
      return new DeltaFollower(client, streamId);
  }
}
