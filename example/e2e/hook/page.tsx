/** A page that is nothing but readers of streams. A test drives it by `window.lab`. */
import { ConvexProvider, ConvexReactClient } from "convex/react";
import { makeFunctionReference } from "convex/server";
import { StrictMode, useEffect } from "react";
import { createRoot, type Root } from "react-dom/client";
import type { StreamId } from "../../../src/client/index.js";
import { useStream } from "../../../src/react/index.js";
import type { StreamBody, StreamPage } from "../../../src/shared.js";
import { History } from "../../../src/testing/history.js";
import { runSchedule } from "./schedule.js";

const search = new URLSearchParams(location.search);
const strict = search.has("strict");
const client = new ConvexReactClient(search.get("deployment") ?? "");

const body = makeFunctionReference<"query", { streamId: string }, StreamBody>(
  "chat:body",
);
const page = makeFunctionReference<
  "query",
  { streamId: string; from?: number },
  StreamBody | StreamPage
>("chat:page");

const create = makeFunctionReference<"mutation", Record<string, never>, string>(
  "chat:create",
);

export interface ReaderProps {
  url: string;
  driven: boolean;
  streamId: string | undefined;
  incremental?: boolean;
  authToken?: string;
  headers?: Record<string, string>;
}

function ReaderView(props: ReaderProps & { history: History }) {
  const { url, driven, streamId, history, authToken, headers } = props;
  const incremental = props.incremental ?? false;
  // New objects at every render, as an app writes them.
  const shown = useStream(
    incremental ? page : (body as typeof page),
    new URL(url),
    driven,
    streamId as StreamId | undefined,
    { authToken, headers: { ...headers }, incremental },
  );
  useEffect(() => {
    history.mounts++;
  }, [history]);
  history.note(shown);
  return <p data-status={shown.status}>{shown.text.length}</p>;
}

/** One reader on the page, in a root of its own. */
export class Reader {
  readonly history = new History();
  private root: Root | undefined;

  constructor(private props: ReaderProps) {
    this.mount();
  }

  mount(): void {
    this.root = createRoot(
      document.body.appendChild(document.createElement("section")),
    );
    this.update();
  }

  /** Renders again, with changes if there are any. */
  update(changes: Partial<ReaderProps> = {}): void {
    this.props = { ...this.props, ...changes };
    const view = (
      <ConvexProvider client={client}>
        <ReaderView {...this.props} history={this.history} />
      </ConvexProvider>
    );
    this.root?.render(strict ? <StrictMode>{view}</StrictMode> : view);
  }

  unmount(): void {
    this.root?.unmount();
  }
}

/**
 * Has the client connect again soon after its socket was dropped, as it does when
 * a network comes back. Otherwise it waits a second or more, in which all the
 * streams of a schedule end.
 */
function reconnectSoon(): void {
  setInterval(() => window.dispatchEvent(new Event("online")), 50);
}

const readers: Reader[] = [];
const lab = {
  mount: (props: ReaderProps) => readers.push(new Reader(props)) - 1,
  reconnectSoon,
  /** Calls a mutation, as a page does that creates a stream. */
  create: () => client.mutation(create, {}),
  /** Whether the page knows that it is connected. */
  isConnected: () => client.connectionState().isWebSocketConnected,
  reader: (index: number) => readers[index]!,
  runSchedule: (seed: number, siteUrl: string) =>
    runSchedule(seed, {
      siteUrl,
      create: () => client.mutation(create, {}),
      mount: (props) => new Reader(props),
    }),
};
export type Lab = typeof lab;
(window as unknown as { lab: Lab }).lab = lab;
