import type { StreamId } from "../../src/client/index.js";
import type { Deployment } from "./lab-backend.js";
import { TimerCount, type Owner } from "./lab-clock.js";
import type { PagePlan, Span } from "./schedule.js";

/** Everything on the pages of a run. React renders it together, so the timers cannot be told apart. */
export class Browser implements Owner {
  readonly timers = new TimerCount();
  readonly alive = true;
  /** How many subscriptions are open. */
  subscriptions = 0;
}

interface Question {
  streamId: string;
  from?: number;
}

interface Subscription {
  question: Question;
  listeners: Set<() => void>;
  answer: { value: unknown } | { error: Error } | undefined;
  /** How many reasons there are to ask the query again. */
  reasons: number;
}

/** What hooks use of a `ConvexReactClient`, with a WebSocket that can be slow or down. */
export class Client {
  private readonly subscriptions = new Map<string, Subscription>();
  private updates = 0;
  /** When a query was last answered (ms). */
  answeredAt = -Infinity;

  constructor(
    private readonly deployment: Deployment,
    private readonly browser: Browser,
    private readonly plan: Partial<PagePlan>,
  ) {
    const { clock, listeners } = deployment;
    listeners.add(this.askAll);
    for (const { at, for: duration } of plan.failing ?? []) {
      for (const moment of [at, at + duration]) {
        void clock.wait(moment).then(this.askAll);
      }
    }
  }

  readonly watchQuery = (_query: unknown, question: unknown) => {
    const key = JSON.stringify(question);
    return {
      onUpdate: (listener: () => void) =>
        this.subscribe(key, question as Question, listener),
      localQueryResult: () => {
        const answer = this.subscriptions.get(key)?.answer;
        if (answer && "error" in answer) throw answer.error;
        return answer?.value;
      },
    };
  };

  private subscribe(
    key: string,
    question: Question,
    listener: () => void,
  ): () => void {
    let subscription = this.subscriptions.get(key);
    if (subscription === undefined) {
      const nothing = { answer: undefined, reasons: 0 };
      subscription = { question, listeners: new Set(), ...nothing };
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

  /** The database may have changed. */
  readonly askAll = (): void => {
    for (const one of this.subscriptions.values()) void this.ask(one);
  };

  /** Runs a query again, and reports its result if it is a new one. */
  private async ask(subscription: Subscription): Promise<void> {
    if (subscription.reasons++ > 0) return;
    const { browser, plan } = this;
    const { clock, happenings } = this.deployment;
    const { question, listeners } = subscription;
    const { lags = [0], down = [] } = plan;
    while (subscription.reasons > 0) {
      await clock.wait(lags[this.updates++ % lags.length] ?? 0);
      for (const { at, for: duration } of down) {
        const left = at + duration - clock.time;
        if (clock.time < at || left <= 0) continue;
        happenings.add("WebSocket down");
        await clock.wait(left);
      }
      subscription.reasons = 1;
      const answer = await this.answer(question);
      subscription.reasons--;
      if ("value" in answer && listeners.size > 0) this.answeredAt = clock.time;
      if (JSON.stringify(answer) === JSON.stringify(subscription.answer)) {
        continue;
      }
      subscription.answer = answer;
      clock.as(browser, () => {
        for (const listener of [...listeners]) listener();
      });
    }
  }

  private async answer({ streamId, from }: Question) {
    const { clock, happenings, streaming, app } = this.deployment;
    const fails = ({ at, for: duration }: Span) =>
      clock.time >= at && clock.time < at + duration;
    if (this.plan.failing?.some(fails)) {
      happenings.add("query of a hook threw");
      return { error: new Error("The app's query threw."), isError: true };
    }
    const id = streamId as StreamId;
    return { value: await streaming.getStreamBody(app, id, { from }) };
  }
}
