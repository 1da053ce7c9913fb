/** Readers of one stream, each on a connection of its own, as browsers are. */
import {
  ConvexReactClient,
  type ConvexReactClientOptions,
  type Watch,
} from "convex/react";
import { makeFunctionReference } from "convex/server";
import { WebSocket } from "ws";
import { StreamReader } from "../src/react/reader.js";
import type { Target } from "./targets.js";

export function connect(url: string): ConvexReactClient {
  return new ConvexReactClient(url, {
    webSocketConstructor:
      WebSocket as unknown as ConvexReactClientOptions["webSocketConstructor"],
    unsavedChangesWarning: false,
    logger: false,
  });
}

/** What a query's result says of how far a follower has come. */
export interface Progress {
  /** How much it has: code units of text, or parts. */
  has: number;
  ended: boolean;
}

/** A follower keeps a subscription; which one, is up to its package. */
export abstract class Follower {
  progress: Progress = { has: -1, ended: false };
  private waiting: {
    for: (progress: Progress) => boolean;
    goOn: () => void;
  }[] = [];

  constructor(protected readonly client: ConvexReactClient) {}

  /** Resolves when it has so much, and its present subscription has been answered. */
  async reached(has: number): Promise<void> {
    await this.wait((progress) => progress.ended || progress.has >= has);
  }

  async ended(): Promise<void> {
    await this.wait((progress) => progress.ended);
  }

  async close(): Promise<void> {
    await this.client.close();
  }

  /** Called with every result of its present subscription. */
  onProgress: () => void = () => {};

  protected update(progress: Progress): void {
    this.progress = progress;
    this.onProgress();
    const still = [];
    for (const waiter of this.waiting) {
      if (waiter.for(progress)) waiter.goOn();
      else still.push(waiter);
    }
    this.waiting = still;
  }

  private async wait(condition: (progress: Progress) => boolean) {
    if (condition(this.progress)) return;
    await new Promise<void>((goOn) => {
      this.waiting.push({ for: condition, goOn });
    });
  }
}

type Body = { text: string; status: string; from?: number };

const isFinal = (status: string) =>
  status !== "pending" && status !== "streaming";

function progressOf({ text, status, from = 0 }: Body): Progress {
  return { has: from + text.length, ended: isFinal(status) };
}

/** What `useQuery` does: one subscription on the whole text. */
export class WholeFollower extends Follower {
  constructor(client: ConvexReactClient, streamId: string) {
    super(client);
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
export class ReaderFollower extends Follower {
  private watch: Watch<Body> | null = null;

  constructor(
    client: ConvexReactClient,
    streamId: string,
    incremental: boolean,
  ) {
    super(client);
    const overheard = {
      watchQuery: (...args: Parameters<ConvexReactClient["watchQuery"]>) => {
        const watch = client.watchQuery(...args) as Watch<Body>;
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
    const reader = new StreamReader(
      overheard as unknown as ConvexReactClient,
      streamId,
      {
        query: incremental ? "streams:page" : "streams:body",
        incremental,
        request: null,
      },
    );
    reader.subscribe(() => {});
  }

  private look(): void {
    const body = this.watch?.localQueryResult();
    if (body !== undefined) this.update(progressOf(body));
  }
}

export function follow(
  url: string,
  kind: Target["follower"],
  streamId: string,
): Follower {
  const client = connect(url);
  switch (kind) {
    case "pages":
      return new ReaderFollower(client, streamId, true);
    case "reader":
      return new ReaderFollower(client, streamId, false);
    case "useQuery":
      return new WholeFollower(client, streamId);
    case "deltas":
      throw new Error("not yet");
  }
}
