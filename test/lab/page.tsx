import { ConvexProvider, type ConvexReactClient } from "convex/react";
import { makeFunctionReference } from "convex/server";
import { Component, StrictMode, useLayoutEffect, type ReactNode } from "react";
import { createRoot, type Root } from "react-dom/client";
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
import type { Deployment } from "./lab-backend.js";
import { TimerCount, type Owner } from "./lab-clock.js";
import type { Reader } from "./readers.js";
import type { PageChange, PagePlan, Span } from "./schedule.js";

const query = makeFunctionReference<
  "query",
  { streamId: string; from?: number },
  StreamBody | StreamPage
>("chat:body");

/** How long the database does not answer before a hook takes the end of HTTP for the stream's. */
const LAST_WORD_MS = 4000;

/** How long the error page is shown (ms) before the component is mounted anew. */
const ERROR_PAGE_MS = 100;

/** All components of a run: React renders them in one go, so their timers cannot be told apart. */
export class Browser implements Owner {
  readonly timers = new TimerCount();
  readonly alive = true;
  /** Subscriptions that are open. */
  subscriptions = 0;
}

interface Subscription {
  args: { streamId: string; from?: number };
  listeners: Set<() => void>;
  result: { value: unknown } | { error: Error } | undefined;
  isAsking: boolean;
  isStale: boolean;
}

/** What hooks use of a `ConvexReactClient`, over a WebSocket that can be slow or down. */
class Client {
  private readonly subscriptions = new Map<string, Subscription>();
  private updates = 0;
  /** When a query was last answered (ms). */
  answeredAt = -Infinity;

  constructor(
    private readonly deployment: Deployment,
    private readonly browser: Browser,
    private readonly plan: PagePlan,
  ) {
    deployment.listeners.add(this.askAll);
    for (const { at, for: duration } of plan.failing) {
      for (const moment of [at, at + duration]) {
        void deployment.clock.wait(moment).then(this.askAll);
      }
    }
  }

  readonly watchQuery = (_query: unknown, args: Subscription["args"]) => {
    const key = JSON.stringify(args);
    return {
      onUpdate: (listener: () => void) => this.subscribe(key, args, listener),
      localQueryResult: () => {
        const result = this.subscriptions.get(key)?.result;
        if (result === undefined) return undefined;
        if ("error" in result) throw result.error;
        return result.value;
      },
    };
  };

  private subscribe(
    key: string,
    args: Subscription["args"],
    listener: () => void,
  ): () => void {
    let subscription = this.subscriptions.get(key);
    if (subscription === undefined) {
      subscription = {
        args,
        listeners: new Set(),
        result: undefined,
        isAsking: false,
        isStale: false,
      };
      this.subscriptions.set(key, subscription);
      void this.ask(subscription);
    }
    const { listeners } = subscription;
    const call = () => listener();
    listeners.add(call);
    this.browser.subscriptions++;
    return () => {
      if (!listeners.delete(call)) return;
      this.browser.subscriptions--;
      if (listeners.size === 0) this.subscriptions.delete(key);
    };
  }

  private readonly askAll = () => {
    for (const subscription of this.subscriptions.values()) {
      void this.ask(subscription);
    }
  };

  /** Runs a query again, and tells of its result if it is another one. */
  private async ask(subscription: Subscription): Promise<void> {
    subscription.isStale = true;
    if (subscription.isAsking) return;
    subscription.isAsking = true;
    const { clock } = this.deployment;
    while (subscription.isStale && subscription.listeners.size >= 0) {
      const { lags } = this.plan;
      await clock.wait(lags[this.updates++ % lags.length] ?? 0);
      for (const { at, for: duration } of this.plan.down) {
        const left = at + duration - clock.time;
        if (clock.time < at || left <= 0) continue;
        this.deployment.happenings.add("WebSocket down");
        await clock.wait(left);
      }
      subscription.isStale = false;
      const result = await this.run(subscription.args);
      const isHeard = subscription.listeners.size > 0;
      if ("value" in result && isHeard) this.answeredAt = clock.time;
      if (JSON.stringify(result) === JSON.stringify(subscription.result)) {
        continue;
      }
      subscription.result = result;
      clock.as(this.browser, () => {
        for (const listener of [...subscription.listeners]) listener();
      });
    }
    subscription.isAsking = false;
  }

  private async run({ streamId, from }: Subscription["args"]) {
    const { streaming, app, clock, happenings } = this.deployment;
    const fails = ({ at, for: duration }: Span) =>
      clock.time >= at && clock.time < at + duration;
    if (this.plan.failing.some(fails)) {
      happenings.add("query of a hook threw");
      // By its text it is the same as another one.
      return { error: new Error("The app's query threw."), at: "" };
    }
    const value = await (from === undefined
      ? streaming.getStreamBody(app, streamId as StreamId)
      : streaming.getStreamBody(app, streamId as StreamId, from));
    return { value };
  }
}

interface Props {
  url: string;
  driven: boolean;
  streamId: StreamId | undefined;
  incremental: boolean;
  authToken: string;
}

function View({
  url,
  driven,
  streamId,
  incremental,
  authToken,
  onShow,
}: Props & {
  onShow: (body: StreamState) => void;
}) {
  // New objects at every render, as apps write them.
  const body = useStream(query, new URL(url), driven, streamId, {
    incremental,
    authToken,
    headers: {},
  });
  useLayoutEffect(() => onShow(body));
  return null;
}

/** What an app has around components that use queries. */
class Boundary extends Component<{ children: ReactNode; onError: () => void }> {
  override state = { failed: false };
  static getDerivedStateFromError = () => ({ failed: true });
  override componentDidCatch() {
    this.props.onError();
  }
  override render() {
    return this.state.failed ? null : this.props.children;
  }
}

/** A component on a page that shows the stream by `useStream`. */
export class HookReader {
  /** How often it has become the one who drives the stream: each time, it may make one request. */
  drives = 0;
  private readonly client: Client;
  private root: Root | undefined;
  private generation = 0;
  private isMounted = false;
  private props: Props;

  constructor(
    private readonly deployment: Deployment,
    private readonly browser: Browser,
    readonly reader: Reader,
    private readonly plan: PagePlan,
    url: string,
    driven: boolean,
  ) {
    this.client = new Client(deployment, browser, plan);
    const { incremental } = plan;
    reader.reads03 =
      !incremental || plan.changes.some(({ what }) => what === "other query");
    const { streamId } = deployment;
    this.props = { url, driven, streamId, incremental, authToken: "first" };
  }

  /** Shows the stream until it has ended and all of it is there. */
  async read(): Promise<void> {
    const { clock } = this.deployment;
    this.mount();
    for (const change of this.plan.changes) {
      void clock.wait(change.at).then(() => this.change(change));
    }
    for (let wait = 200; this.reader.alive; wait = Math.min(wait * 1.5, 5000)) {
      await clock.wait(wait);
      if (this.isWhole) break;
    }
    // One that does not get there is reported as going on for ever.
    if (!this.reader.alive) return;
    this.reader.ended = true;
    this.reader.refused = this.deployment.tail === null;
    this.unmount();
  }

  private get isWhole(): boolean {
    const { tail } = this.deployment;
    const { text, status } = this.reader;
    if (!this.isMounted || !isFinal(status)) return false;
    if (tail === null || tail === undefined) return tail === null;
    // Its writer's last words may still come.
    return isFinal(tail.status) && !tail.draining && text.length >= tail.offset;
  }

  private mount(): void {
    if (this.isMounted) return;
    this.isMounted = true;
    this.root = createRoot(document.createElement("section"), {
      onCaughtError: () => {},
    });
    this.beginAnew();
  }

  unmount(): void {
    this.isMounted = false;
    this.deployment.clock.as(this.browser, () => this.root?.unmount());
  }

  private beginAnew(): void {
    this.generation++;
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
    if (this.isMounted) this.render();
  }

  private async change(change: PageChange): Promise<void> {
    const { clock, happenings, streamId } = this.deployment;
    const { reader } = this;
    if (!reader.alive || reader.ended) return;
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
        if (reader.alive && !reader.ended) this.mount();
        return;
      case "no stream":
        this.update({ streamId: undefined });
        await clock.wait(change.for);
        return this.update({ streamId });
      case "hidden":
        clock.isHidden = true;
        await clock.wait(change.for);
        clock.as(this.browser, () => clock.show());
        return;
    }
  }

  private readonly show = (
    body: StreamState,
    props: Props,
    generation: number,
  ) => {
    if (!this.isMounted || generation !== this.generation) return;
    if (props.streamId === undefined) {
      this.reader.beginAnew();
      if (body.text !== "" || body.status !== "pending") {
        this.reader.complain("growth", "has a text of no stream");
      }
      return;
    }
    this.reader.showAll(body.text);
    this.noteGuess(body.status);
    this.reader.showStatus(body.status);
  };

  /** While the database is out of reach, a clean end of HTTP may count as done. */
  private noteGuess(status: StreamStatus): void {
    const { reader, deployment, client } = this;
    if (status !== "done" || reader.hasGuessed) return;
    const isSaved = deployment.changes.some(({ tail }) => {
      const saved = tail?.status ?? "error";
      return (reader.reads03 ? statusOf03(saved) : saved) === "done";
    });
    if (isSaved) return;
    reader.hasGuessed = true;
    const silence = deployment.clock.time - client.answeredAt;
    if (silence >= LAST_WORD_MS) return;
    reader.complain("status", `says done, ${silence} ms after an answer`);
  }

  private render(): void {
    const { props, generation, deployment, browser } = this;
    const view = (
      <ConvexProvider client={this.client as unknown as ConvexReactClient}>
        <Boundary
          key={generation}
          onError={() => {
            if (this.plan.failing.length === 0) {
              this.reader.complain("failure", "threw");
            }
            void deployment.clock
              .asNobody(() => deployment.clock.wait(ERROR_PAGE_MS))
              .then(() => this.isMounted && this.beginAnew());
          }}
        >
          <View
            {...props}
            onShow={(body) => this.show(body, props, generation)}
          />
        </Boundary>
      </ConvexProvider>
    );
    deployment.clock.as(browser, () =>
      this.root?.render(
        this.plan.strict ? <StrictMode>{view}</StrictMode> : view,
      ),
    );
  }
}
