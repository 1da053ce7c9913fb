import type { StreamId } from "../../src/client/index.js";
import type { Deployment } from "./lab-backend.js";
import { TimerCount, type Owner } from "./lab-clock.js";
import type { PagePlan, Span } from "./schedule.js";

/** All pages of a run. React renders them together, so their timers cannot be told apart. */
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
  answer: object;
  /** Whether the query is about to run again. */
  isDue: boolean;
  updates: Promise<void>;
}

/** What hooks use of a `ConvexReactClient`, with a WebSocket that can be slow or down. */
export class Client {
  private readonly subscriptions = new Map<string, Subscription>();
  private updates = 0;
  /** When a query was last answered (ms). */
  answeredAt = -Infinity;
  /** Whether an answer has said that the stream is done. */
  hasSaidDone = false;

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
        const answer = this.subscriptions.get(key)?.answer ?? {};
        if ("error" in answer) throw answer.error as Error;
        return "value" in answer ? answer.value : undefined;
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
      const nothing = { answer: {}, isDue: false, updates: Promise.resolve() };
      subscription = { question, listeners: new Set(), ...nothing };
      this.subscriptions.set(key, subscription);
      this.ask(subscription);
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
    for (const one of this.subscriptions.values()) this.ask(one);
  };

  private ask(subscription: Subscription): void {
    if (subscription.isDue) return;
    subscription.isDue = true;
    subscription.updates = subscription.updates.then(() =>
      this.update(subscription),
    );
  }

  /** Runs a query again, and reports the result if it has changed. */
  private async update(subscription: Subscription): Promise<void> {
    const { clock } = this.deployment;
    const { lags = [0], down = [] } = this.plan;
    await clock.wait(lags[this.updates++ % lags.length] ?? 0);
    for (const { at, for: duration } of down) {
      const left = at + duration - clock.time;
      if (clock.time >= at && left > 0) await clock.wait(left);
    }
    subscription.isDue = false;
    const answer = await this.answer(subscription.question);
    const { listeners, answer: before } = subscription;
    if ("value" in answer && listeners.size > 0) {
      this.answeredAt = clock.time;
      this.hasSaidDone ||= answer.value?.status === "done";
    }
    if (JSON.stringify(answer) === JSON.stringify(before)) return;
    subscription.answer = answer;
    clock.as(this.browser, () => {
      for (const listener of [...listeners]) listener();
    });
  }

  private async answer({ streamId, from }: Question) {
    const { clock, streaming, app } = this.deployment;
    const fails = ({ at, for: duration }: Span) =>
      clock.time >= at && clock.time < at + duration;
    if (this.plan.failing?.some(fails)) {
      return { error: new Error("The app's query threw."), isError: true };
    }
    const id = streamId as StreamId;
    return { value: await streaming.getStreamBody(app, id, { from }) };
  }
}
