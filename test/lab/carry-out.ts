import process from "node:process";
import type { StreamId } from "../../src/client/index.js";
import { isFinal } from "../../src/shared.js";
import { wire } from "../../src/protocol.js";
import { Action, Caller } from "./action.js";
import { LabClock } from "./lab-clock.js";
import { Deployment, type Change } from "./lab-backend.js";
import { answerRequests, failedToFetch, serve } from "./connections.js";
import { Manuscript } from "./manuscript.js";
import { Browser } from "./client.js";
import { PageReader } from "./page.js";
import { TextReader, type Reader } from "./readers.js";
import type {
  CallerPlan,
  OutsideEvent,
  PagePlan,
  ReaderPlan,
  Schedule,
} from "./schedule.js";

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const DAY = 24 * 60 * MINUTE;

/** The names of everything that has to finish. */
type Tasks = Set<string>;

type WatchPlan = Omit<Partial<CallerPlan & ReaderPlan>, "page"> & {
  page?: Partial<PagePlan>;
  driven?: boolean;
};

type Handler = Parameters<typeof answerRequests>[1];

/** Carries out a schedule until everything it started has finished. */
export async function carryOut(schedule: Schedule): Promise<Run> {
  const rejections: unknown[] = [];
  const onRejection = (reason: unknown) => rejections.push(reason);
  process.on("unhandledRejection", onRejection);
  try {
    return await LabClock.during(async (clock) => {
      const deployment = new Deployment(clock, schedule);
      await deployment.createStream();
      const run = new Run(clock, schedule, deployment, rejections);
      await run.carryOut();
      return run;
    });
  } finally {
    process.off("unhandledRejection", onRejection);
  }
}

/** One schedule, and everything that came of it. */
export class Run {
  readonly callers: Caller[] = [];
  readonly readers: Reader[] = [];
  readonly browser = new Browser();
  /** When nothing ran (ms, by the clock that never jumps). */
  readonly stalls: { from: number; to: number }[] = [];
  /** What should have finished but has not. */
  readonly stuck: string[] = [];
  /** What was saved at the end. */
  stored!: Awaited<ReturnType<Deployment["stored"]>>;
  /** What has to finish before the readers do. */
  private readonly writing: Tasks = new Set();
  private readonly reading: Tasks = new Set();
  /** How the requests of each reader are answered. */
  private readonly hosts = new Map<string, Handler>();

  constructor(
    private readonly clock: LabClock,
    readonly schedule: Schedule,
    readonly deployment: Deployment,
    /** Unhandled rejections. */
    readonly rejections: unknown[],
  ) {}

  /** The last caller that got the claim, if its writer ran. */
  get winner(): Caller | undefined {
    const holder = this.deployment.holders.at(-1)?.action;
    const winner = this.callers.find((caller) => caller === holder);
    return winner?.manuscript.started ? winner : undefined;
  }

  /** The work of the writer that got furthest. */
  get written(): Manuscript | undefined {
    return this.callers
      .map(({ manuscript }) => manuscript)
      .filter(({ started }) => started)
      .sort((a, b) => b.readable - a.readable)[0];
  }

  /** The change that ended the stream. */
  get ending(): Change | undefined {
    return this.deployment.changes.find(
      ({ tail }) => tail === null || isFinal(tail.status),
    );
  }

  get isDeleted(): boolean {
    return this.deployment.tail === null;
  }

  /** The text that was saved at the end. */
  get saved(): string {
    return this.stored.chunks.map(({ text }) => text).join("");
  }

  async carryOut(): Promise<void> {
    const { clock, schedule, writing, reading, deployment } = this;
    const { callers, takeovers, outside, readers } = schedule;
    answerRequests(clock, (asked) =>
      this.hosts.get(new URL(asked.url).hostname)!(asked),
    );
    // A render, its effects, and whatever they start.
    if ([...callers, ...readers].some(({ by }) => by === "hook")) {
      clock.turns = 4;
    }
    const startAll = <Plan extends { at: number }>(
      what: string,
      plans: Plan[],
      act: (plan: Plan, index: number) => Promise<unknown>,
    ) => {
      for (const [i, plan] of plans.entries()) {
        this.start(writing, `${what} ${i}`, plan.at, () => act(plan, i));
      }
    };
    startAll("caller", callers, (plan, i) => this.call(plan, i));
    startAll("takeover", takeovers, ({ action, throwsAt }) =>
      this.generate("take over", action, throwsAt),
    );
    startAll("event", outside, (event) => this.meddle(event));
    for (const [i, plan] of readers.entries()) {
      this.watch(`reader ${i}`, plan, reading, plan.at);
    }

    await this.finish(writing, 5 * 60 * MINUTE);
    // Calls in flight arrive, and scheduled functions run.
    await this.pass(10 * SECOND);
    await clock.runUntil(() => deployment.isOver, 22 * MINUTE);
    await this.finish(reading, 15 * MINUTE);
    // A stream that was ended from outside drains for 15 s.
    await this.pass(20 * SECOND);

    const late: Tasks = new Set();
    this.watch("late reader", { by: "resume" }, late);
    for (const incremental of [true, false]) {
      const page = { incremental };
      this.watch(`late, ${incremental}`, { by: "reader", page }, late);
    }
    await this.finish(late, 10 * MINUTE);
    for (const reader of this.readers) {
      reader.alive = false;
      reader.unmount();
    }
    // An unused reader is kept for a while, and an owed callback runs within a day.
    await this.pass(DAY);
    for (const caller of this.callers) caller.die();
    this.stored = await this.settled(deployment.stored());
    await clock.settle();
  }

  private pass(ms: number): Promise<void> {
    return this.clock.runUntil(() => false, ms);
  }

  /** Runs tasks to their end, but no longer than this. */
  private async finish(tasks: Tasks, limit: number): Promise<void> {
    await this.clock.runUntil(() => tasks.size === 0, limit);
    this.stuck.push(...tasks);
  }

  /** Waits for something that takes no time on this clock. */
  private async settled<T>(promise: Promise<T>): Promise<T> {
    await this.clock.settle();
    return promise;
  }

  private start(
    tasks: Tasks,
    name: string,
    at: number,
    act: () => Promise<unknown>,
  ): void {
    tasks.add(name);
    void this.clock
      .wait(at)
      .then(act)
      .then(() => tasks.delete(name));
  }

  private async call(plan: CallerPlan, index: number): Promise<void> {
    if (plan.how === "generate") return this.generate("generate", plan.action);
    this.watch(`the client of caller ${index}`, { ...plan, driven: true });
    // If the client asks again, it does so within this time.
    for (let i = 0; i < 120 && !this.deployment.isOver; i++) {
      await this.clock.wait(SECOND);
    }
  }

  private newCaller(
    how: Caller["how"],
    plan: CallerPlan["action"] | undefined,
    throwsAt: number | null = null,
  ): Caller {
    const { deployment, schedule, callers } = this;
    const { writing, takeovers } = schedule;
    const index = takeovers.length > 0 ? null : callers.length;
    const manuscript = new Manuscript(writing, index, throwsAt);
    const caller = new Caller(deployment, plan, how, manuscript);
    callers.push(caller);
    deployment.actions.push(caller);
    return caller;
  }

  private async generate(
    how: "generate" | "take over",
    plan: CallerPlan["action"],
    throwsAt?: number | null,
  ): Promise<void> {
    const { streaming, streamId, app } = this.deployment;
    const takeOver = how === "take over";
    const caller = this.newCaller(how, plan, throwsAt);
    const startOffset = async () =>
      (await streaming.getStreamBody(app, streamId)).text.length;
    const writer = caller.manuscript.writer(
      caller,
      takeOver ? startOffset : undefined,
    );
    const generated = caller
      .run((ctx) => streaming.generate(ctx, streamId, writer, { takeOver }))
      .then(
        (wrote) => (caller.hasResolved = wrote),
        () => {},
      )
      .then(() => caller.end());
    await Promise.race([generated, caller.over]);
  }

  /** Shows the stream in a component, or reads it with `readStream`. */
  private watch(
    what: string,
    plan: WatchPlan,
    tasks = this.reading,
    at = 0,
  ): void {
    const { deployment, browser, readers } = this;
    const { by = "resume", driven = false } = plan;
    const host = `client-${readers.length}.lab`;
    const url = `https://${host}/stream`;
    const name = `${what} (${by})`;
    const written = () => this.written;
    const about = { name, deployment, url, driven, written };
    const reader =
      by === "resume"
        ? new TextReader(about)
        : new PageReader(about, browser, plan.page ?? {}, by);
    readers.push(reader);
    this.hosts.set(host, this.answers(reader, plan));
    this.start(tasks, name, at, () => reader.read());
  }

  /** How the requests of a reader are answered. Only its first one to write can go wrong. */
  private answers(reader: Reader, plan: Omit<WatchPlan, "page">): Handler {
    const answers = [...(plan.answers ?? [])];
    let requests = 0;
    return async (asked) => {
      if (asked.method !== "POST") return this.resume(asked, answers.shift());
      const response = await this.post(asked, requests++ === 0 ? plan : {});
      if (response.status < 300) reader.answered++;
      return response;
    };
  }

  /** Answers a request with the HTTP action that writes. */
  private async post(
    asked: Parameters<Handler>[0],
    plan: Pick<WatchPlan, "action" | "connection" | "isLost">,
  ): Promise<Response> {
    const { streaming, streamId } = this.deployment;
    if (plan.isLost) throw failedToFetch();
    const name = `action ${this.callers.length}`;
    const caller = this.newCaller("stream", plan.action);
    const writer = caller.manuscript.writer(caller);
    this.start(this.writing, name, 0, () => caller.over);
    return serve(caller, plan.connection, asked, (ctx, request) =>
      streaming.stream(ctx, request, streamId, (_ctx, _request, _id, ...to) =>
        writer(...to),
      ),
    );
  }

  /** Answers a request for what is saved. */
  private async resume(
    asked: Parameters<Handler>[0],
    plan: Partial<ReaderPlan["answers"][number]> = {},
  ): Promise<Response> {
    const { deployment } = this;
    const action = new Action(deployment, plan.action);
    deployment.actions.push(action);
    return serve(action, plan.connection, asked, (ctx, request) => {
      const id = new URL(request.url).searchParams.get(wire.streamId);
      return deployment.streaming.resume(ctx, request, id as StreamId);
    });
  }

  private async meddle(event: OutsideEvent): Promise<unknown> {
    const { deployment, clock } = this;
    const { streaming, streamId, app } = deployment;
    const { setStreamStatus } = streaming.component.lib;
    // The app's own transaction fails with its `onComplete`, or if the stream is gone.
    const ignore = () => {};
    switch (event.what) {
      case "abort":
        return streaming.abortStream(app, streamId).catch(ignore);
      case "delete":
        return streaming.deleteStream(app, streamId).catch(ignore);
      case "set": {
        const { status } = event;
        return app
          .runMutation(setStreamStatus, { streamId, status })
          .catch(ignore);
      }
      case "clock":
        return clock.jump(event.by);
      case "sleep":
        clock.jump(event.for);
        await clock.wait(event.cronAfter);
        return deployment.cron();
      case "cron":
        return deployment.cron();
      case "stall":
        this.stalls.push({ from: clock.time, to: clock.time + event.for });
        return clock.stall(event.for);
    }
  }
}
