/** A reader of a stream as tests in jsdom and in a browser mount it, with a history of all that it ever showed. */
import { ConvexProvider, type ConvexReactClient } from "convex/react";
import { makeFunctionReference } from "convex/server";
import { StrictMode, useEffect } from "react";
import { createRoot } from "react-dom/client";
import type { StreamId } from "../../src/client/index.js";
import { useStream } from "../../src/react/index.js";
import type { StreamBody, StreamPage } from "../../src/shared.js";
import { History } from "./history.js";

export const body = makeFunctionReference<
  "query",
  { streamId: string },
  StreamBody
>("chat:body");
export const page = makeFunctionReference<
  "query",
  { streamId: string; from?: number },
  StreamBody | StreamPage
>("chat:page");

export interface ReaderProps {
  url: string | URL;
  driven: boolean;
  streamId: string | undefined;
  incremental?: boolean;
  /** Another query than the one that fits `incremental`. */
  query?: typeof body;
  authToken?: string;
  headers?: Record<string, string>;
}

interface ViewProps extends ReaderProps {
  history: History;
}

export function ReaderView(props: ViewProps) {
  const { url, driven, streamId, history, authToken, headers } = props;
  const incremental = props.incremental ?? false;
  // New objects at every render, as an app writes them.
  const shown = useStream(
    (props.query ?? (incremental ? page : body)) as typeof page,
    url && new URL(url),
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
  private readonly element = document.body.appendChild(
    document.createElement("section"),
  );
  private readonly root = createRoot(this.element);

  constructor(
    private readonly client: ConvexReactClient,
    private props: ReaderProps,
    private readonly strict: boolean,
  ) {
    this.update();
  }

  /** Renders again, with changes if there are any. */
  update(changes: Partial<ReaderProps> = {}): void {
    this.props = { ...this.props, ...changes };
    const view = (
      <ConvexProvider client={this.client}>
        <ReaderView {...this.props} history={this.history} />
      </ConvexProvider>
    );
    this.root.render(this.strict ? <StrictMode>{view}</StrictMode> : view);
  }

  unmount(): void {
    this.root.unmount();
    this.element.remove();
  }
}
