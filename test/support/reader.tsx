/** A reader of a stream as tests in jsdom and in a browser mount it, with a history of all that it ever showed. */
import { ConvexProvider, type ConvexReactClient } from "convex/react";
import { makeFunctionReference } from "convex/server";
import { Component, StrictMode, useEffect, type ReactNode } from "react";
import { createRoot, type Root } from "react-dom/client";
import type { StreamId } from "../../src/client/index.js";
import { useStream } from "../../src/react/index.js";
import type { StreamBody, StreamPage } from "../../src/shared.js";
import { History } from "./history.js";

const body = makeFunctionReference<"query", { streamId: string }, StreamBody>(
  "chat:body",
);
const page = makeFunctionReference<
  "query",
  { streamId: string; from?: number },
  StreamBody | StreamPage
>("chat:page");

export interface ReaderProps {
  url: string;
  driven: boolean;
  streamId: string | undefined;
  incremental?: boolean;
  authToken?: string;
  headers?: Record<string, string>;
}

interface ViewProps extends ReaderProps {
  reader: Reader;
}

function ReaderView(props: ViewProps) {
  const { url, driven, streamId, reader, authToken, headers } = props;
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
    reader.history.mounts++;
  }, [reader]);
  reader.note(streamId, shown);
  return <p data-status={shown.status}>{shown.text.length}</p>;
}

/** What an app has around a component that uses `useQuery`: an error that the query threw ends up here. */
class Boundary extends Component<
  { children: ReactNode; onError: (error: Error) => void },
  { failed: boolean }
> {
  override state = { failed: false };
  static getDerivedStateFromError = () => ({ failed: true });
  override componentDidCatch(error: Error) {
    this.props.onError(error);
  }
  override render() {
    return this.state.failed ? null : this.props.children;
  }
}

/** How long (ms) the error page is shown before the reader is mounted anew. */
const ERROR_PAGE = 100;

/** One reader on the page, in a root of its own. */
export class Reader {
  readonly history = new History();
  /** What the query threw, and the hook with it. */
  readonly errors: string[] = [];
  /** How often it has become the one that drives a stream, by stream. Each time, it may make one request. */
  readonly drives: Record<string, number> = {};
  private root: Root | undefined;
  private element: HTMLElement | undefined;
  /** Counts the mounts, those after an error too: each begins from nothing. */
  private generation = 0;
  private noted = "";

  constructor(
    private readonly client: ConvexReactClient,
    private props: ReaderProps,
    private readonly strict: boolean,
  ) {
    this.mount();
  }

  mount(): void {
    this.element = document.body.appendChild(document.createElement("section"));
    this.root = createRoot(this.element, {
      // It is noted here, and nothing for the console.
      onCaughtError: () => {},
    });
    this.begin();
  }

  /** Renders again, with changes if there are any. */
  update(changes: Partial<ReaderProps> = {}): void {
    const before = this.props;
    this.props = { ...before, ...changes };
    const { driven, streamId } = this.props;
    if (!before.driven || before.streamId !== streamId) this.noteDrive();
    void driven;
    this.render();
  }

  unmount(): void {
    this.root?.unmount();
    this.root = undefined;
    this.element?.remove();
  }

  /** Called with each render. Where another stream or another mount begins, the history does. */
  note(streamId: string | undefined, shown: StreamBody): void {
    const now = `${this.generation} ${streamId}`;
    if (this.noted !== now) this.history.shown.length = 0;
    this.noted = now;
    this.history.note(shown);
  }

  private begin(): void {
    this.generation++;
    this.noteDrive();
    this.render();
  }

  private noteDrive(): void {
    const { driven, streamId } = this.props;
    if (!driven || streamId === undefined) return;
    this.drives[streamId] = (this.drives[streamId] ?? 0) + 1;
  }

  private render(): void {
    const view = (
      <ConvexProvider client={this.client}>
        <Boundary
          key={this.generation}
          onError={(error) => {
            this.errors.push(error.message);
            setTimeout(() => this.root && this.begin(), ERROR_PAGE);
          }}
        >
          <ReaderView {...this.props} reader={this} />
        </Boundary>
      </ConvexProvider>
    );
    this.root?.render(this.strict ? <StrictMode>{view}</StrictMode> : view);
  }
}
