import { ConvexProvider, type ConvexReactClient } from "convex/react";
import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import type { StreamId } from "../../src/client/index.js";
import { isFinal, statusOf03, type StreamState } from "../../src/shared.js";
import { ReaderView } from "../support/reader.js";
import { SwitchingComponent } from "../support/switching.js";
import { Client, type Browser } from "./client.js";
import { Reader } from "./readers.js";
import type { PageChange, PagePlan } from "./schedule.js";

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

/** A component on a page: call it to render, or with null to unmount. */
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
        <ReaderView
          {...props}
          history={{ note: (body) => onShow(body, props) }}
        />
      </ConvexProvider>
    );
    root.render(strict ? <StrictMode>{view}</StrictMode> : view);
  };
}

/** Mounts a component without React. */
function mountAlone(client: Client, onShow: OnShow): Mounted {
  let component: SwitchingComponent | undefined;
  let shown: Props;
  return (props) => {
    if (props === null) return component?.unmount();
    shown = props;
    const source = { ...props, query: "chat:body" };
    component ??= new SwitchingComponent(client, source, (view) =>
      onShow(view.snapshot, shown),
    );
    component.update(source);
  };
}

/** A component that shows the stream, and the page around it. */
export class PageReader extends Reader {
  /** How often it has started to drive the stream. Each time, it may send one request. */
  drives = 0;
  private readonly client: Client;
  private mounted: Mounted | null = null;
  /** Whether an error page is shown instead. */
  private isBroken = false;
  private props: Props;

  constructor(
    about: Reader["about"],
    private readonly browser: Browser,
    private readonly plan: Partial<PagePlan>,
    private readonly by: "hook" | "reader",
  ) {
    super(about);
    const { url, driven = false, deployment } = about;
    const { streamId } = deployment;
    const { incremental = false, changes = [] } = plan;
    this.client = new Client(deployment, browser, plan);
    this.reads03 =
      !incremental || changes.some(({ what }) => what === "other query");
    this.props = { url, driven, streamId, incremental, authToken: "first" };
  }

  async read(): Promise<void> {
    const { clock } = this.deployment;
    this.mount();
    for (const change of this.plan.changes ?? []) {
      void clock.wait(change.at).then(() => this.change(change));
    }
    for (let wait = 200; !this.isWhole; wait = Math.min(wait * 1.5, 5000)) {
      await clock.wait(wait);
      // A reader that does not get there is reported as stuck.
      if (!this.alive) return;
    }
    this.ended = true;
    this.refused = this.deployment.tail === null;
    this.unmount();
  }

  private get isWhole(): boolean {
    const { tail } = this.deployment;
    if (this.mounted === null || !isFinal(this.status)) return false;
    if (this.status === "done" && !this.isSavedAsDone) return false;
    if (!tail) return tail === null;
    // The writer's last words may still come.
    const isOver = isFinal(tail.status) && !tail.draining;
    return isOver && this.text.length >= tail.offset;
  }

  private mount(): void {
    if (this.mounted !== null) return;
    const { client, plan, show } = this;
    const onError = () => {
      this.isBroken = true;
      if (!plan.failing?.length) this.complain("failure", "threw");
      void this.deployment.clock
        .wait(ERROR_PAGE_MS)
        .then(() => this.mounted === mounted && this.begin());
    };
    const mounted =
      this.by === "hook"
        ? mountWithReact(client, plan.strict === true, show, onError)
        : mountAlone(client, show);
    this.mounted = mounted;
    this.begin();
  }

  override unmount(): void {
    const { mounted } = this;
    this.mounted = null;
    this.onPage(() => mounted?.(null));
  }

  /** Does something as the page, so the timers are the browser's. */
  private onPage(act: () => unknown): void {
    this.deployment.clock.as(this.browser, act);
  }

  /** Renders a new component. */
  private begin(): void {
    this.isBroken = false;
    this.beginAnew();
    this.update({}, true);
  }

  /** Renders with other props. */
  private update(changes: Partial<Props>, isNew = false): void {
    const wasDriving = !isNew && this.isDriving;
    this.props = { ...this.props, ...changes };
    if (this.isDriving && !wasDriving) this.drives++;
    if (!this.isBroken) this.onPage(() => this.mounted?.(this.props));
  }

  private get isDriving(): boolean {
    return !!this.props.driven && this.props.streamId !== undefined;
  }

  private async change(change: PageChange): Promise<void> {
    const { clock, streamId } = this.deployment;
    const isOver = () => !this.alive || this.ended;
    if (isOver()) return;
    switch (change.what) {
      case "token":
        return this.update({ authToken: "second" });
      case "drive":
      case "follow":
        return this.update({ driven: change.what === "drive" });
      case "other query":
        return this.update({ incremental: !this.props.incremental });
      case "online":
        return this.onPage(() => window.dispatchEvent(new Event("online")));
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
        this.onPage(() => clock.show());
    }
  }

  private readonly show: OnShow = ({ text, status }, { streamId }) => {
    if (this.mounted === null) return;
    if (streamId === undefined) {
      this.beginAnew();
      const isEmpty = text === "" && status === "pending";
      if (!isEmpty) this.complain("growth", "has the text of no stream");
      return;
    }
    this.showText(text);
    if (status === "done") this.noteGuess();
    this.showStatus(status);
  };

  /** Whether the database says `done`. If not, `done` is a guess. */
  private get isSavedAsDone(): boolean {
    return this.deployment.changes.some(({ tail }) => {
      const saved = tail?.status ?? "error";
      return (this.reads03 ? statusOf03(saved) : saved) === "done";
    });
  }

  /** While the database is out of reach, a clean end of HTTP may count as `done`. */
  private noteGuess(): void {
    if (this.hasGuessed) return;
    const { changes, clock } = this.deployment;
    const { answeredAt, hasSaidDone } = this.client;
    // In the shape of 0.3, an aborted stream is done. That is no guess, but it may change.
    const isDone = changes.some(({ tail }) => tail?.status === "done");
    this.hasGuessed = !(isDone && hasSaidDone);
    const silence = clock.time - answeredAt;
    if (this.isSavedAsDone || silence >= LAST_WORD_MS) return;
    this.complain("status", `says done, ${silence} ms after an answer`);
  }
}
