import { ConvexProvider, type ConvexReactClient } from "convex/react";
import { makeFunctionReference } from "convex/server";
import { StrictMode, useLayoutEffect } from "react";
import { createRoot } from "react-dom/client";
import type { StreamId } from "../../src/client/index.js";
import { useStream } from "../../src/react/index.js";
import {
  isFinal,
  statusOf03,
  type StreamBody,
  type StreamPage,
  type StreamState,
  type StreamStatus,
} from "../../src/shared.js";
import { SwitchingComponent } from "../support/switching.js";
import { Client, type Browser } from "./client.js";
import type { Deployment } from "./lab-backend.js";
import type { Reader } from "./readers.js";
import type { PageChange, PagePlan } from "./schedule.js";

const query = makeFunctionReference<
  "query",
  { streamId: string; from?: number },
  StreamBody | StreamPage
>("chat:body");

/** The database must be silent this long before a hook may take the end of HTTP for the stream's. */
const LAST_WORD_MS = 4000;
/** How long an error page is shown before the component is mounted again. */
const ERROR_PAGE_MS = 100;

interface Props {
  url: string;
  driven: boolean | "auto";
  streamId: StreamId | undefined;
  incremental: boolean;
  authToken: string;
}

function View(props: Props & { onShow: (body: StreamState) => void }) {
  const { url, driven, streamId, incremental, authToken } = props;
  // New objects on every render, as apps write them.
  const options = { incremental, authToken, headers: {} };
  const body = useStream(query, new URL(url), driven, streamId, options);
  useLayoutEffect(() => props.onShow(body));
  return null;
}

/** A component on a page: renders it, and unmounts it if there are no props. */
type Mounted = (props: Props | null) => void;
type OnShow = (body: StreamState, props: Props) => void;

function mountWithReact(
  client: Client,
  strict: boolean,
  onShow: OnShow,
  onError: () => void,
): Mounted {
  const section = document.createElement("section");
  const root = createRoot(section, { onUncaughtError: onError });
  return (props) => {
    if (props === null) return root.unmount();
    const view = (
      <ConvexProvider client={client as unknown as ConvexReactClient}>
        <View {...props} onShow={(body) => onShow(body, props)} />
      </ConvexProvider>
    );
    root.render(strict ? <StrictMode>{view}</StrictMode> : view);
  };
}

/** Mounts a component without React. With another token, it is in another provider, if there is one. */
function mountAlone(
  client: Client,
  other: Client | undefined,
  onShow: OnShow,
): Mounted {
  let component: SwitchingComponent | undefined;
  let shown: Props;
  return (props) => {
    if (props === null) return component?.unmount();
    shown = props;
    const source = { ...props, query: "chat:body" };
    const provider = (props.authToken !== "first" && other) || client;
    component ??= new SwitchingComponent(provider, source, (view) =>
      onShow(view.snapshot, shown),
    );
    component.update(source, provider);
  };
}

/** A component that shows the stream. */
export class PageReader {
  /** How often it has started to drive the stream. Each time, it may send one request. */
  drives = 0;
  private readonly deployment: Deployment;
  private readonly client: Client;
  private mounted: Mounted | null = null;
  /** Whether an error page is shown instead. */
  private isBroken = false;
  private props: Props;

  /** @param other What it reads with while it has another token; default: the same client. */
  constructor(
    readonly reader: Reader,
    private readonly browser: Browser,
    private readonly plan: Partial<PagePlan>,
    driven: boolean | "auto",
    private readonly by: "hook" | "reader",
    private readonly other?: Client,
  ) {
    const { url, deployment } = reader;
    const { streamId } = deployment;
    const { incremental = false, changes = [] } = plan;
    this.deployment = deployment;
    this.client = new Client(deployment, browser, plan);
    reader.reads03 =
      !incremental || changes.some(({ what }) => what === "other query");
    this.props = { url, driven, streamId, incremental, authToken: "first" };
  }

  /** Shows the stream until it has ended and everything has arrived. */
  async read(): Promise<void> {
    const { clock } = this.deployment;
    this.mount();
    for (const change of this.plan.changes ?? []) {
      void clock.wait(change.at).then(() => this.change(change));
    }
    for (let wait = 200; !this.isWhole; wait = Math.min(wait * 1.5, 5000)) {
      await clock.wait(wait);
      // One that does not get there is reported as stuck.
      if (!this.reader.alive) return;
    }
    this.reader.ended = true;
    this.reader.refused = this.deployment.tail === null;
    this.unmount();
  }

  private get isWhole(): boolean {
    const { tail } = this.deployment;
    const { text, status } = this.reader;
    if (this.mounted === null || !isFinal(status)) return false;
    if (status === "done" && !this.isSavedAsDone) return false;
    if (tail === null || tail === undefined) return tail === null;
    // The writer's last words may still come.
    return isFinal(tail.status) && !tail.draining && text.length >= tail.offset;
  }

  private mount(): void {
    if (this.mounted !== null) return;
    const { client, other, plan, reader, show } = this;
    const onError = () => {
      this.isBroken = true;
      if (!plan.failing?.length) reader.complain("failure", "threw");
      void this.deployment.clock
        .wait(ERROR_PAGE_MS)
        .then(() => this.mounted === mounted && this.begin());
    };
    const mounted =
      this.by === "hook"
        ? mountWithReact(client, plan.strict === true, show, onError)
        : mountAlone(client, other, show);
    this.mounted = mounted;
    this.begin();
  }

  unmount(): void {
    const { mounted } = this;
    this.mounted = null;
    this.deployment.clock.as(this.browser, () => mounted?.(null));
  }

  /** Renders a new component. */
  private begin(): void {
    this.isBroken = false;
    this.reader.beginAnew();
    this.noteDrive();
    this.render();
  }

  private noteDrive(): void {
    if (this.props.driven && this.props.streamId !== undefined) this.drives++;
  }

  private update(changes: Partial<Props>): void {
    const { driven, streamId } = this.props;
    this.props = { ...this.props, ...changes };
    if (!driven || streamId === undefined) this.noteDrive();
    this.render();
  }

  private async change(change: PageChange): Promise<void> {
    const { clock, happenings, streamId } = this.deployment;
    const { reader } = this;
    const isOver = () => !reader.alive || reader.ended;
    if (isOver()) return;
    if (reader.text !== "") happenings.add("hook changed in mid-stream");
    switch (change.what) {
      case "token":
        return this.update({ authToken: "second" });
      case "drive":
      case "follow":
        return this.update({ driven: change.what === "drive" });
      case "other query":
        return this.update({ incremental: !this.props.incremental });
      case "online":
        clock.as(this.browser, () => window.dispatchEvent(new Event("online")));
        return;
      case "unmounted":
        this.unmount();
        await clock.wait(change.for);
        if (!isOver()) this.mount();
        return;
      case "no stream":
        this.update({ streamId: undefined });
        await clock.wait(change.for);
        return this.update({ streamId });
      case "hidden":
        clock.isHidden = true;
        await clock.wait(change.for);
        clock.as(this.browser, () => clock.show());
    }
  }

  private readonly show: OnShow = (body, { streamId }) => {
    const { reader } = this;
    if (this.mounted === null) return;
    if (streamId === undefined) {
      reader.beginAnew();
      if (body.text !== "" || body.status !== "pending") {
        reader.complain("growth", "has the text of no stream");
      }
      return;
    }
    reader.show(body.text);
    this.noteGuess(body.status);
    reader.showStatus(body.status);
  };

  /** If not, `done` is a guess. */
  private get isSavedAsDone(): boolean {
    return this.deployment.changes.some(({ tail }) => {
      const saved = tail?.status ?? "error";
      return (this.reader.reads03 ? statusOf03(saved) : saved) === "done";
    });
  }

  /** While the database is out of reach, a clean end of HTTP may count as `done`. */
  private noteGuess(status: StreamStatus): void {
    const { reader, deployment, client } = this;
    if (status !== "done" || reader.hasGuessed) return;
    const { changes, clock } = deployment;
    // In the shape of 0.3, an aborted stream is done. That is no guess, but it may change.
    reader.hasGuessed = !changes.some(({ tail }) => tail?.status === "done");
    const silence = clock.time - client.answeredAt;
    if (this.isSavedAsDone || silence >= LAST_WORD_MS) return;
    reader.complain("status", `says done, ${silence} ms after an answer`);
  }

  private render(): void {
    const { props, mounted, deployment, browser } = this;
    if (this.isBroken) return;
    deployment.clock.as(browser, () => mounted?.(props));
  }
}
