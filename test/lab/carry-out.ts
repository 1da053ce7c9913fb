import process from "node:process";
import type { StreamId } from "../../src/client/index.js";
import { isFinal } from "../../src/shared.js";
import { wire } from "../../src/protocol.js";
import type { Action } from "./action.js";
import { LabClock } from "./lab-clock.js";
import { Deployment } from "./lab-backend.js";
import { failedToFetch, Sent, serve, untilAborted } from "./connections.js";
import { Manuscript } from "./manuscript.js";
import { Browser } from "./client.js";
import { mountAlone, mountWithReact, PageReader } from "./page.js";
import { Reader } from "./readers.js";
import {
  CALM,
  STABLE,
  UNCHANGING,
  type ActionPlan,
  type CallerPlan,
  type OutsideEvent,
  type ReaderPlan,
  type Schedule,
} from "./schedule.js";

const SECOND = 1000;
const MINUTE = 60 * SECOND;

/** An action that asked for the stream to be written. */
export interface Caller {
  how: CallerPlan["how"];
  action: Action;
  manuscript: Manuscript;
  /** Null if it asked for no response. */
  sent: Sent | null;
  /** How `generate` ended. */
  generated: "resolved" | "declined" | "rejected" | null;
}

/** Something that has to finish. */
interface Task {
  name: string;
  isDone: boolean;
}

/** Answers a request. */
type Handler = (request: {
  url: string;
  method: string;
  signal: AbortSignal | null;
}) => Promise<Response>;

/** Carries a schedule out, until everything that it started has finished. */
export async function carryOut(schedule: Schedule): Promise<Run> {
  const clock = new LabClock();
  const run = new Run(clock, schedule);
  const onRejection = (reason: unknown) => run.rejections.push(reason);
  process.on("unhandledRejection", onRejection);
  globalThis.fetch = run.fetch;
  try {
    await clock.during(() => run.carryOut());
    return run;
  } finally {
    process.off("unhandledRejection", onRejection);
  }
}

/** One schedule, and everything that came of it. */
export class Run {
  readonly happenings = new Set<string>();
  readonly callers: Caller[] = [];
  readonly readers: Reader[] = [];
  /** The readers on pages, and how many of their requests were answered. */
  readonly hooks: { hook: PageReader; requests: { answered: number } }[] = [];
  readonly browser = new Browser();
  /** When nothing ran (ms, by the clock that never jumps). */
  readonly stalls: { from: number; to: number }[] = [];
  /** Rejections without a handler. */
  readonly rejections: unknown[] = [];
  /** What should have finished, and has not. */
  readonly stuck: string[] = [];
  deployment!: Deployment;
  /** What was saved at the end. */
  stored!: Awaited<ReturnType<Deployment["stored"]>>;
  /** Everything that has to finish before the readers have to. */
  private readonly writing: Task[] = [];
  private readonly reading: Task[] = [];
  /** How the requests of `readStream` and of hooks are answered, by host. */
  private readonly hosts = new Map<string, Handler>();

  constructor(
    private readonly clock: LabClock,
    readonly schedule: Schedule,
  ) {}

  /** The last one that got the claim, if its writer ran. */
  get winner(): Caller | undefined {
    const holder = this.deployment.holders.at(-1)?.action;
    return this.callers.find(
      ({ action, manuscript }) => action === holder && manuscript.started,
    );
  }

  /** What the writer that got furthest has written. */
  get written(): Manuscript | undefined {
    return this.callers
      .map(({ manuscript }) => manuscript)
      .filter(({ started }) => started)
      .sort((a, b) => b.readable - a.readable)[0];
  }

  private get isWriterAlive(): boolean {
    return this.winner?.action.alive === true;
  }

  async carryOut(): Promise<void> {
    const { clock, schedule, happenings, writing, reading } = this;
    const deployment = await Deployment.create(clock, happenings, schedule);
    this.deployment = deployment;
    const usesReact =
      schedule.callers.some(({ by }) => by === "hook") ||
      schedule.readers.some(({ how }) => how === "hook");
    // A render, its effects, and what these start.
    if (usesReact) clock.turns = 4;

    for (const [i, plan] of schedule.callers.entries()) {
      this.start(writing, `caller ${i}`, plan.at, () => this.call(plan, i));
    }
    for (const [i, { at, ...plan }] of schedule.takeovers.entries()) {
      this.start(writing, `takeover ${i}`, at, () =>
        this.generate({ ...plan, how: "take over" }),
      );
    }
    for (const [i, event] of schedule.outside.entries()) {
      this.start(writing, `event ${i} (${event.what})`, event.at, () =>
        this.meddle(event),
      );
    }
    for (const [i, plan] of schedule.readers.entries()) {
      this.start(reading, `reader ${i}`, plan.at, () => this.read(plan, i));
    }

    await this.finish(writing, 5 * 60 * MINUTE);
    // Calls in flight arrive, and scheduled functions run.
    await this.pass(10 * SECOND);
    if (!deployment.isOver) {
      clock.jump(22 * MINUTE);
      await this.settled(deployment.cron());
      await this.pass(5 * SECOND);
    }
    await this.runOwedCallbacks();
    await this.finish(reading, 15 * MINUTE);
    // A stream that was ended from outside drains for 15 s.
    await this.pass(20 * SECOND);

    const late: Task[] = [];
    const reader = this.reader("late readStream");
    this.start(late, reader.name, 0, () => reader.resume("late.lab"));
    for (const incremental of [true, false]) {
      const page = { ...UNCHANGING, incremental };
      this.show(`late reader (${incremental})`, { page }, late);
    }
    await this.finish(late, 10 * MINUTE);
    for (const reader of this.readers) reader.alive = false;
    for (const { hook } of this.hooks) hook.unmount();
    // An unused reader is kept for a while.
    await this.pass(MINUTE);
    for (const { action } of this.callers) action.die();
    this.stored = await this.settled(deployment.stored());
    await clock.settle();
    this.note();
  }

  private pass(ms: number): Promise<unknown> {
    return this.clock.runUntil(() => false, ms);
  }

  /** Runs tasks to their end, but no longer than this. */
  private async finish(tasks: Task[], limit: number): Promise<void> {
    const left = () => tasks.filter(({ isDone }) => !isDone);
    await this.clock.runUntil(() => left().length === 0, limit);
    this.stuck.push(...left().map(({ name }) => name));
  }

  /** Waits for something that takes no time. */
  private async settled<T>(promise: Promise<T>): Promise<T> {
    await this.clock.settle();
    return promise;
  }

  private start(
    list: Task[],
    name: string,
    at: number,
    act: () => Promise<unknown>,
  ): void {
    const task = { name, isDone: false };
    list.push(task);
    void this.clock.wait(at).then(async () => {
      await act();
      task.isDone = true;
    });
  }

  private reader(name: string): Reader {
    const reader = new Reader(name, this.deployment, () => this.written);
    this.readers.push(reader);
    return reader;
  }

  private async call(plan: CallerPlan, index: number): Promise<void> {
    const { happenings, callers, deployment } = this;
    if (callers.some(({ action }) => action.alive && !deployment.isOver)) {
      happenings.add("several callers at one time");
    }
    if (this.winner?.action.fate === "died") {
      happenings.add("another caller after the writer's action had died");
    }
    if (plan.how === "generate") return this.generate(plan);
    const name = `the client of caller ${index} (${plan.by})`;
    if (plan.by === "resume") {
      const host = `client-${index}.lab`;
      const reader = this.reader(name);
      this.route(host, plan);
      this.start(this.reading, name, 0, () => reader.resume(host, true));
    } else this.show(name, { ...plan, driven: true });
    // What it asks for again, it asks for within this time.
    for (let i = 0; i < 120 && !deployment.isOver; i++) {
      await this.clock.wait(SECOND);
    }
  }

  private async generate(plan: {
    how: CallerPlan["how"];
    action: ActionPlan;
    throwsAt?: number | null;
  }): Promise<void> {
    const { deployment, happenings } = this;
    const takeOver = plan.how === "take over";
    const caller = this.newCaller(plan);
    const { action, manuscript } = caller;
    const { streaming, streamId, app } = deployment;
    if (takeOver && this.isWriterAlive) {
      happenings.add("taken over from a living writer");
    }
    const startOffset = async () => {
      happenings.add("taken over");
      return (await streaming.getStreamBody(app, streamId)).text.length;
    };
    const writer = manuscript.writer(
      action,
      takeOver ? startOffset : undefined,
    );
    const generated = action
      .run((ctx) => streaming.generate(ctx, streamId, writer, { takeOver }))
      .then(
        (wrote) => (caller.generated = wrote ? "resolved" : "declined"),
        () => (caller.generated = "rejected"),
      )
      .then(() => action.end());
    await Promise.race([generated, action.over]);
  }

  /** Owed callbacks run within a day. */
  private async runOwedCallbacks(): Promise<void> {
    const { clock, deployment, schedule } = this;
    if (schedule.callback === null) return;
    for (let attempt = 0; attempt < 8; attempt++) {
      const { callbacks } = await this.settled(deployment.stored());
      const dueAt = callbacks[0]?.dueAt;
      if (dueAt === undefined) return;
      clock.jump(Math.max(0, dueAt + 1 - clock.now()));
      await this.settled(deployment.cron());
      await this.pass(5 * SECOND);
    }
  }

  /** Shows the stream on a page. */
  private show(
    name: string,
    plan: Pick<CallerPlan, "page"> & Partial<CallerPlan> & { driven?: boolean },
    tasks = this.reading,
  ): void {
    const { deployment, browser } = this;
    const { page, by, driven = false } = plan;
    const host = `page-${this.hooks.length}.lab`;
    const mount = by === "hook" ? mountWithReact : mountAlone();
    const reader = this.reader(name);
    const url = `https://${host}/stream`;
    const hook = new PageReader(
      ...([deployment, browser, reader, page, url, driven, mount] as const),
    );
    this.hooks.push({ hook, requests: this.route(host, plan) });
    this.start(tasks, name, 0, () => hook.read());
  }

  /** Answers the requests to a host. Only the first one to write can go wrong. */
  private route(
    host: string,
    plan: Partial<CallerPlan>,
    answers: ReaderPlan["answers"] = [],
  ): { answered: number } {
    const { happenings } = this;
    let requests = 0;
    const counts = { answered: 0 };
    this.hosts.set(host, async (request) => {
      if (request.method !== "POST") {
        return this.resume(request, answers.shift());
      }
      if (requests > 0) happenings.add("client asked again");
      const isFirst = requests++ === 0;
      const response = await this.post(isFirst ? plan : {}, request.signal);
      if (response.status < 300) counts.answered++;
      if (response.status === 200) happenings.add("client drove the stream");
      return response;
    });
    return counts;
  }

  private newCaller({
    how = "stream",
    action: plan = CALM,
    throwsAt = null,
  }: Partial<CallerPlan> & { throwsAt?: number | null }): Caller {
    const { deployment, clock, schedule, callers } = this;
    const action = deployment.action(plan);
    const index = schedule.takeovers.length > 0 ? null : callers.length;
    const { writing } = schedule;
    const manuscript = new Manuscript(clock, writing, index, throwsAt);
    const outcome = { sent: null, generated: null };
    const caller = { how, action, manuscript, ...outcome };
    callers.push(caller);
    return caller;
  }

  /** Sends a request to the HTTP action that writes. */
  private async post(
    plan: Partial<CallerPlan>,
    signal: AbortSignal | null,
  ): Promise<Response> {
    const { deployment } = this;
    const { streaming, streamId } = deployment;
    if (plan.isLost) {
      this.happenings.add("request lost");
      throw failedToFetch();
    }
    const caller = this.newCaller(plan);
    const { action, manuscript } = caller;
    const sent = (caller.sent = new Sent());
    const writer = manuscript.writer(action);
    const name = `action ${this.callers.length - 1}`;
    this.start(this.writing, name, 0, async () => {
      await Promise.race([action.over, this.idle(caller)]);
      action.end();
    });
    return serve(
      deployment,
      action,
      plan.connection ?? STABLE,
      { url: "https://app.lab/stream", method: "POST", signal },
      (ctx, request) =>
        streaming.stream(ctx, request, streamId, (_ctx, _request, _id, ...to) =>
          writer(...to),
        ),
      sent,
    );
  }

  /** Once the platform has given a body up, an action has ended when nothing of it is running. */
  private async idle({ action, manuscript, sent }: Caller): Promise<void> {
    for (let quiet = 0; quiet < 3;) {
      await this.clock.wait(5 * SECOND);
      if (!action.alive) return;
      const isIdle =
        sent?.cancelled === true &&
        (manuscript.ended !== null || !manuscript.started) &&
        action.callsInFlight === 0 &&
        action.timers.armed === 0;
      quiet = isIdle ? quiet + 1 : 0;
    }
  }

  private async meddle(event: OutsideEvent): Promise<void> {
    const { deployment, clock, happenings } = this;
    const { streaming, streamId, app } = deployment;
    const wasOver = deployment.isOver;
    const note = (fault: string) => {
      if (this.isWriterAlive && !wasOver) happenings.add(fault);
    };
    const setStatus = streaming.component.lib.setStreamStatus;
    switch (event.what) {
      case "abort":
        note("abort while the writer was at work");
        // The app's own transaction fails with its `onComplete`.
        return streaming.abortStream(app, streamId).catch(() => {});
      case "delete":
        note("deletion while the writer was at work");
        if (deployment.tail === null) happenings.add("second deletion");
        else if (wasOver) happenings.add("deletion of an ended stream");
        // It may be gone.
        return streaming.deleteStream(app, streamId).catch(() => {});
      case "set": {
        note("status set while the writer was at work");
        const { status } = event;
        return void (await app
          .runMutation(setStatus, { streamId, status })
          .catch(() => {}));
      }
      case "clock":
        happenings.add(event.by < 0 ? "clock set back" : "clock set forward");
        return clock.jump(event.by);
      case "sleep":
        happenings.add("clock set forward");
        clock.jump(event.for);
        await clock.wait(event.cronAfter);
        if (!deployment.isOver) note("cron while the writer was at work");
        return void (await deployment.cron());
      case "cron":
        note("cron while the writer was at work");
        return void (await deployment.cron());
      case "stall":
        happenings.add("stall");
        this.stalls.push({ from: clock.time, to: clock.time + event.for });
        return clock.stall(event.for);
    }
  }

  private async read(plan: ReaderPlan, index: number): Promise<void> {
    const { how, page } = plan;
    const name = `reader ${index} (${how})`;
    // It may be told to drive.
    if (how !== "resume") return this.show(name, { page, by: how });
    const host = `reader-${index}.lab`;
    this.route(host, {}, [...plan.answers]);
    return this.reader(name).resume(host);
  }

  /** Answers a request for what is saved. */
  private async resume(
    request: Parameters<Handler>[0],
    plan: ReaderPlan["answers"][number] = { action: CALM, connection: STABLE },
  ): Promise<Response> {
    const { deployment, happenings } = this;
    const action = deployment.action(plan.action);
    void action.over.then(() => {
      if (action.fate === "died") happenings.add("resume's action died");
      if (action.failures.length > 0)
        happenings.add("look of a reader refused");
    });
    return serve(
      deployment,
      action,
      plan.connection,
      request,
      (ctx, request) => {
        const id = new URL(request.url).searchParams.get(wire.streamId);
        return deployment.streaming.resume(ctx, request, id as StreamId);
      },
    );
  }

  /** The platform's `fetch`. */
  readonly fetch = async (
    input: unknown,
    { method = "GET", signal = null }: RequestInit = {},
  ): Promise<Response> => {
    const url = String(input);
    const { hostname } = new URL(url);
    const handler = this.hosts.get(hostname) ?? this.resume.bind(this);
    const answered = this.clock.asNobody(async () =>
      untilAborted(await handler({ url, method, signal }), signal),
    );
    const aborted = new Promise<never>((_, reject) => {
      const abort = () => reject(new DOMException("Aborted.", "AbortError"));
      signal?.addEventListener("abort", abort);
      if (signal?.aborted) abort();
    });
    return Promise.race([answered, aborted]);
  };

  /** Notes what can be told only when everything is over. */
  private note(): void {
    const { happenings, winner, deployment } = this;
    if (winner === undefined) return;
    const { action, manuscript, how, generated } = winner;
    const { style } = this.schedule.writing;
    const wasStopped = manuscript.stoppedAt !== null;
    const lengths = deployment.changes.map(({ tail }) => tail?.offset ?? 0);
    const ending = deployment.changes.findIndex(
      ({ tail }) => tail && isFinal(tail.status),
    );
    const notes: Record<string, boolean> = {
      "writer's action died": action.fate === "died",
      "writer threw": manuscript.ended === "threw",
      "left open for the next writer":
        how === "take over" && generated === "rejected",
      "writer ignored its signal": wasStopped && style === "ignores its signal",
      "writer's abort listener threw":
        wasStopped && style === "throws when stopped",
      "last words after the end":
        ending >= 0 && Math.max(...lengths.slice(ending)) > lengths[ending]!,
      "text of more than one document": Math.max(...lengths) > 64 * 1024,
    };
    for (const [fault, happened] of Object.entries(notes)) {
      if (happened) happenings.add(fault);
    }
  }
}
