import process from "node:process";
import type { StreamId } from "../../src/client/index.js";
import { isFinal } from "../../src/shared.js";
import { wire } from "../../src/protocol.js";
import { textOf } from "../../src/browser/request.js";
import type { Action } from "./action.js";
import { LabClock } from "./lab-clock.js";
import { Deployment } from "./lab-backend.js";
import type { Fault, Happenings } from "./happenings.js";
import { nothingSent, serve, type Sent } from "./connections.js";
import { Manuscript } from "./manuscript.js";
import { Browser, HookReader } from "./page.js";
import { Reader } from "./readers.js";
import type {
  ActionPlan,
  CallerPlan,
  ConnectionPlan,
  OutsideEvent,
  PagePlan,
  ReaderPlan,
  Schedule,
} from "./schedule.js";

const SECOND = 1000;
const MINUTE = 60 * SECOND;

/** One who asked for the stream to be written. */
export interface Caller {
  plan: CallerPlan;
  action: Action;
  manuscript: Manuscript;
  /** Null for one that asked for no response. */
  sent: Sent | null;
  /** How `generate` ended. */
  generated: "resolved" | "declined" | "rejected" | null;
}

/** All that came of a schedule. */
export interface Outcome {
  schedule: Schedule;
  happenings: Happenings;
  deployment: Deployment;
  callers: Caller[];
  /** The last who got the claim, if its writer ran. */
  winner: Caller | undefined;
  /** What the one has written who has written the most. */
  written: Manuscript | undefined;
  readers: Reader[];
  /** The pages that used the hook, and how many of their requests were answered. */
  hooks: { hook: HookReader; answered: number }[];
  /** What they left when all of them were gone. */
  browser: Browser;
  /** When nothing ran (ms, by the clock that never jumps). */
  stalls: { from: number; to: number }[];
  stored: Awaited<ReturnType<Deployment["stored"]>>;
  /** Rejections that nobody had taken care of. */
  rejections: unknown[];
  /** What should have come to an end, and has not. */
  stuck: string[];
}

const calm: ActionPlan = {
  calls: ["prompt"],
  brokenFrom: null,
  death: null,
  orphansArrive: false,
};
const whole: ConnectionPlan = {
  leavesAt: null,
  answer: 0,
  cutAfter: null,
  as: "end",
  noticed: "signal",
};

const calmCaller: Omit<CallerPlan, "page"> = {
  at: 0,
  how: "stream",
  action: calm,
  connection: whole,
  isLost: false,
  by: "hook",
};

/** Carries a schedule out, to the last of what it has set going. */
export async function carryOut(schedule: Schedule): Promise<Outcome> {
  const clock = new LabClock();
  const rejections: unknown[] = [];
  const rejected = (reason: unknown) => rejections.push(reason);
  const real = {
    fetch: globalThis.fetch,
    error: console.error,
    warn: console.warn,
  };
  process.on("unhandledRejection", rejected);
  // What is logged is expected: these runs are full of errors.
  console.error = console.warn = () => {};
  try {
    return await clock.during(() =>
      new Run(clock, schedule, rejections).carryOut(),
    );
  } finally {
    Object.assign(globalThis, { fetch: real.fetch });
    console.error = real.error;
    console.warn = real.warn;
    process.off("unhandledRejection", rejected);
  }
}

class Run {
  private readonly happenings = new Set<Fault>();
  private deployment!: Deployment;
  private readonly callers: Caller[] = [];
  private readonly readers: Reader[] = [];
  private readonly stalls: Outcome["stalls"] = [];
  private readonly hooks: Outcome["hooks"] = [];
  private readonly browser = new Browser();
  /** How the requests of hooks are answered, by the host that they ask. */
  private readonly drivers = new Map<
    string,
    (signal: AbortSignal | null) => Promise<Response>
  >();
  /** What is to come to an end before the readers have to. */
  private readonly acts: { name: string; done: boolean }[] = [];
  private readonly readings: { name: string; done: boolean }[] = [];
  /** How the requests of `readStream` are answered, by the host that it asks. */
  private readonly hosts = new Map<
    string,
    { action: ActionPlan; connection: ConnectionPlan }[]
  >();
  private writingIsOver = false;

  constructor(
    private readonly clock: LabClock,
    private readonly schedule: Schedule,
    private readonly rejections: unknown[],
  ) {}

  private get winner(): Caller | undefined {
    const holder = this.deployment.holders.at(-1)?.action;
    return this.callers.find(
      ({ action, manuscript }) => action === holder && manuscript.started,
    );
  }

  /** What the one has written who has written the most. */
  private get written(): Manuscript | undefined {
    const all = this.callers.map(({ manuscript }) => manuscript);
    const started = all.filter((manuscript) => manuscript.started);
    return started.sort((a, b) => b.readable - a.readable)[0];
  }

  /** Whether the writer's action is at work. */
  private get isWriting(): boolean {
    return this.winner?.action.alive === true;
  }

  async carryOut(): Promise<Outcome> {
    const { clock, schedule, happenings } = this;
    this.deployment = await Deployment.create(clock, happenings, schedule);
    const usesHook =
      schedule.callers.some(({ by }) => by === "hook") ||
      schedule.readers.some(({ how }) => how === "hook");
    // A render, its effects, and what these set going.
    if (usesHook) clock.turns = 4;
    const { deployment } = this;
    Object.assign(globalThis, { fetch: this.fetch });

    schedule.callers.forEach((plan, i) => {
      this.begin(this.acts, `caller ${i}`, plan.at, () => this.call(plan, i));
    });
    schedule.takeovers.forEach(({ at, throwsAt, action }, i) => {
      const how = "take over" as const;
      const plan = { ...calmCaller, at, how, action } as CallerPlan;
      this.begin(this.acts, `takeover ${i}`, at, () =>
        this.generate(plan, throwsAt),
      );
    });
    schedule.outside.forEach((event, i) => {
      this.begin(this.acts, `event ${i} (${event.what})`, event.at, () =>
        this.meddle(event),
      );
    });
    schedule.readers.forEach((plan, i) => {
      this.begin(this.readings, `reader ${i}`, plan.at, () =>
        this.read(plan, i),
      );
    });

    const stuck: string[] = [];
    const done = (all: { done: boolean }[]) => all.every((one) => one.done);
    const unfinished = (all: { name: string; done: boolean }[]) =>
      all.filter((one) => !one.done).map(({ name }) => name);

    await clock.runUntil(() => done(this.acts), 5 * 60 * MINUTE);
    stuck.push(...unfinished(this.acts));
    // What is on its way arrives, and scheduled functions run.
    await clock.runUntil(() => false, 10 * SECOND);
    if (!deployment.isOver) {
      clock.jump(22 * MINUTE);
      await this.settled(deployment.cron());
      await clock.runUntil(() => false, 5 * SECOND);
    }
    await this.runOwedCallbacks();
    this.writingIsOver = true;
    await clock.runUntil(() => done(this.readings), 15 * MINUTE);
    stuck.push(...unfinished(this.readings));
    // A stream that was ended from outside drains for 15 s.
    await clock.runUntil(() => false, 20 * SECOND);

    for (const [i, follow] of [
      (reader: Reader) => reader.resume("late.lab"),
      (reader: Reader) => reader.follow(true, [0], () => true),
      (reader: Reader) => reader.follow(false, [0], () => true),
    ].entries()) {
      const reader = this.reader(`late reader ${i}`);
      this.begin(this.readings, reader.name, 0, () => follow(reader));
    }
    if (!(await clock.runUntil(() => done(this.readings), 10 * MINUTE))) {
      stuck.push(...unfinished(this.readings.slice(-3)));
    }
    for (const reader of this.readers) reader.alive = false;
    for (const { hook } of this.hooks) hook.unmount();
    // A reader that nobody shows is kept for a while.
    if (usesHook) await clock.runUntil(() => false, MINUTE);
    for (const { action } of this.callers) {
      if (action.alive) action.die();
    }
    const stored = await this.settled(deployment.stored());
    await clock.settle();
    this.takeNote();

    return {
      schedule,
      happenings,
      deployment,
      callers: this.callers,
      winner: this.winner,
      written: this.written,
      readers: this.readers,
      hooks: this.hooks,
      browser: this.browser,
      stalls: this.stalls,
      stored,
      rejections: this.rejections,
      stuck,
    };
  }

  /** Waits for what needs no time. */
  private async settled<T>(promise: Promise<T>): Promise<T> {
    await this.clock.settle();
    return promise;
  }

  private begin(
    list: { name: string; done: boolean }[],
    name: string,
    at: number,
    act: () => Promise<unknown>,
  ): void {
    const entry = { name, done: false };
    list.push(entry);
    void this.clock.wait(at).then(async () => {
      await act();
      entry.done = true;
    });
  }

  private reader(name: string): Reader {
    const reader = new Reader(name, this.deployment, () => this.written);
    this.readers.push(reader);
    return reader;
  }

  private async call(plan: CallerPlan, index: number): Promise<void> {
    const { clock, happenings } = this;
    if (
      this.callers.some(({ action }) => action.alive && !this.deployment.isOver)
    ) {
      happenings.add("several callers at one time");
    }
    if (this.winner?.action.fate === "died") {
      happenings.add("another caller after the writer's action had died");
    }
    if (plan.how === "generate") return this.generate(plan);
    const reader = this.reader(`the client of caller ${index} (${plan.by})`);
    if (plan.by === "hook") return this.driveByHook(plan, index, reader);
    const host = `client-${index}.lab`;
    this.hosts.set(host, []);
    this.begin(this.readings, reader.name, 0, async () => {
      try {
        const response = await this.post(plan, 0, null);
        if (response.status === 200 && response.body !== null) {
          await this.receive(reader, response.body);
        }
      } catch {
        // It goes on by what is saved, like every client.
      }
      if (plan.by === "resume") await reader.resume(host);
      else await reader.follow(true, [700], () => this.writingIsOver);
    });
    // Its action, an act of its own, has begun by now.
    await clock.wait(0);
  }

  private async generate(
    plan: CallerPlan,
    throwsAt: number | null = null,
  ): Promise<void> {
    const { deployment, happenings } = this;
    const takeOver = plan.how === "take over";
    const caller = this.newCaller(plan, plan.action, throwsAt);
    const { action, manuscript } = caller;
    const { streaming, streamId } = deployment;
    if (takeOver && this.isWriting) {
      happenings.add("taken over from a living writer");
    }
    const generated = action
      .run((ctx) => {
        const begin = async () => {
          happenings.add("taken over");
          const { app } = deployment;
          return (await streaming.getStreamBody(app, streamId)).text.length;
        };
        const writer = manuscript.writer(action, takeOver ? begin : undefined);
        return streaming.generate(ctx, streamId, writer, { takeOver });
      })
      .then(
        (wrote) => (caller.generated = wrote ? "resolved" : "declined"),
        () => (caller.generated = "rejected"),
      )
      .then(() => action.end());
    await Promise.race([generated, action.over]);
  }

  /** Within a day. */
  private async runOwedCallbacks(): Promise<void> {
    const { clock, deployment, schedule } = this;
    if (schedule.callback === null) return;
    for (let attempt = 0; attempt < 8; attempt++) {
      const { callbacks } = await this.settled(deployment.stored());
      const dueAt = callbacks[0]?.dueAt;
      if (dueAt === undefined) return;
      clock.jump(Math.max(0, dueAt + 1 - clock.now()));
      await this.settled(deployment.cron());
      await clock.runUntil(() => false, 5 * SECOND);
    }
  }

  private async driveByHook(
    plan: CallerPlan,
    index: number,
    reader: Reader,
  ): Promise<void> {
    const host = `driver-${index}.lab`;
    const entry = this.readByHook(reader, plan.page, host, true);
    let requests = 0;
    this.drivers.set(host, async (signal) => {
      if (requests > 0) this.happenings.add("hook asked again");
      const response = await this.post(plan, requests++, signal);
      if (response.status < 300) entry.answered++;
      if (response.status === 200) this.happenings.add("hook drove the stream");
      return response;
    });
    // What it asks for again, it asks within that time.
    for (let i = 0; i < 120 && !this.deployment.isOver; i++) {
      await this.clock.wait(SECOND);
    }
  }

  private readByHook(
    reader: Reader,
    page: PagePlan,
    host: string,
    driven: boolean,
  ): Outcome["hooks"][number] {
    const { deployment, browser } = this;
    const url = `https://${host}/stream`;
    const hook = new HookReader(deployment, browser, reader, page, url, driven);
    const entry = { hook, answered: 0 };
    this.hooks.push(entry);
    this.begin(this.readings, reader.name, 0, () => hook.read());
    return entry;
  }

  private newCaller(
    plan: CallerPlan,
    by: ActionPlan,
    throwsAt: number | null = null,
  ): Caller {
    const { deployment, clock, schedule, callers } = this;
    const action = deployment.action(by);
    const index = schedule.takeovers.length > 0 ? null : callers.length;
    const { writing } = schedule;
    const manuscript = new Manuscript(clock, writing, index, throwsAt);
    const caller = { plan, action, manuscript, sent: null, generated: null };
    callers.push(caller);
    return caller;
  }

  /** Carries out a request to the HTTP action that writes. What goes wrong does so the first time. */
  private async post(
    plan: CallerPlan,
    index: number,
    signal: AbortSignal | null,
  ): Promise<Response> {
    const { deployment } = this;
    const { streaming, streamId } = deployment;
    if (plan.isLost && index === 0) {
      this.happenings.add("request lost");
      throw new TypeError("Failed to fetch");
    }
    const caller = this.newCaller(plan, index === 0 ? plan.action : calm);
    const { action, manuscript } = caller;
    const sent = (caller.sent = nothingSent());
    const writer = manuscript.writer(action);
    this.begin(this.acts, `action ${this.callers.length - 1}`, 0, async () => {
      await Promise.race([action.over, this.idle(caller)]);
      action.end();
    });
    return serve(
      deployment,
      action,
      index === 0 ? plan.connection : whole,
      { url: "https://app.lab/stream", method: "POST", signal },
      (ctx, request) =>
        streaming.stream(
          ctx,
          request,
          streamId,
          (_ctx, _request, _streamId, append, stop) => writer(append, stop),
        ),
      sent,
    );
  }

  /** Shows a reader what comes of a body, until it ends, breaks or is silent for too long. */
  private async receive(
    reader: Reader,
    body: ReadableStream<Uint8Array>,
  ): Promise<void> {
    const pieces = textOf(body);
    for (;;) {
      const piece = await Promise.race([
        pieces.next(),
        this.clock.wait(5 * MINUTE),
      ]);
      if (!piece || piece.done) break;
      reader.show(reader.text.length, piece.value);
    }
    void pieces.return().catch(() => {});
  }

  /** Where the platform gave a body up, nothing says when its action has ended, but that nothing of it goes on. */
  private async idle({ action, manuscript, sent }: Caller): Promise<void> {
    for (let quiet = 0; quiet < 3;) {
      await this.clock.wait(5 * SECOND);
      if (!action.alive) return;
      const idle =
        sent?.cancelled === true &&
        (manuscript.ended !== null || !manuscript.started) &&
        action.callsInFlight === 0 &&
        action.timers.armed === 0;
      quiet = idle ? quiet + 1 : 0;
    }
  }

  private async meddle(event: OutsideEvent): Promise<void> {
    const { deployment, clock, happenings } = this;
    const { streaming, streamId, app } = deployment;
    const wasOver = deployment.isOver;
    const note = (fault: Fault) => {
      if (this.isWriting && !wasOver) happenings.add(fault);
    };
    switch (event.what) {
      case "abort":
        note("abort while the writer was at work");
        // The app's own transaction fails with its `onComplete`.
        return streaming.abortStream(app, streamId).catch(() => {});
      case "delete":
        note("deletion while the writer was at work");
        if (wasOver) {
          happenings.add(
            deployment.tail === null
              ? "second deletion"
              : "deletion of an ended stream",
          );
        }
        // There is none any more, perhaps.
        return streaming.deleteStream(app, streamId).catch(() => {});
      case "set":
        note("status set while the writer was at work");
        return app
          .runMutation(streaming.component.lib.setStreamStatus, {
            streamId,
            status: event.status,
          })
          .then(
            () => {},
            () => {},
          );
      case "cron":
        note("cron while the writer was at work");
        await deployment.cron();
        return;
      case "clock":
        happenings.add(event.by < 0 ? "clock set back" : "clock set forward");
        return clock.jump(event.by);
      case "sleep":
        happenings.add("clock set forward");
        clock.jump(event.for);
        await clock.wait(event.cronAfter);
        if (this.isWriting && !deployment.isOver) {
          happenings.add("cron while the writer was at work");
        }
        await deployment.cron();
        return;
      case "stall":
        happenings.add("stall");
        this.stalls.push({ from: clock.time, to: clock.time + event.for });
        return clock.stall(event.for);
    }
  }

  private async read(plan: ReaderPlan, index: number): Promise<void> {
    const reader = this.reader(`reader ${index} (${plan.how})`);
    if (plan.how === "hook") {
      const host = `driver-of-${index}.lab`;
      const entry = this.readByHook(reader, plan.page, host, false);
      // It may be told to drive.
      const asCaller: CallerPlan = { ...calmCaller, page: plan.page };
      this.drivers.set(host, async (signal) => {
        const response = await this.post(asCaller, 1, signal);
        if (response.status < 300) entry.answered++;
        return response;
      });
      return;
    }
    if (plan.how === "resume") {
      this.hosts.set(`reader-${index}.lab`, [...plan.answers]);
      return reader.resume(`reader-${index}.lab`);
    }
    return reader.follow(
      plan.how === "pages",
      plan.looks,
      () => this.writingIsOver,
    );
  }

  /** What `readStream` and the hook ask with. */
  private readonly fetch = async (
    url: URL | string,
    init: RequestInit = {},
  ): Promise<Response> => {
    const { deployment, clock, happenings } = this;
    const { hostname } = new URL(url);
    const { action: plan, connection } = this.hosts.get(hostname)?.shift() ?? {
      action: calm,
      connection: whole,
    };
    const { signal } = init;
    const driver = this.drivers.get(hostname);
    const answered = clock.asNobody(async () => {
      if (driver !== undefined) {
        const response = await driver(signal ?? null);
        if (response.body === null || !signal) return response;
        return new Response(untilAborted(response.body, signal), response);
      }
      const action = deployment.action(plan);
      void action.over.then(() => {
        if (action.fate === "died") happenings.add("resume's action died");
        if (action.failures.length > 0) {
          happenings.add("look of a reader refused");
        }
      });
      const response = await serve(
        deployment,
        action,
        connection,
        { url: String(url), signal: signal ?? null },
        (ctx, request) =>
          deployment.streaming.resume(
            ctx,
            request,
            new URL(request.url).searchParams.get(wire.streamId) as StreamId,
          ),
      );
      // A client that goes away does not read on.
      if (response.body === null || !signal) return response;
      return new Response(untilAborted(response.body, signal), response);
    });
    return Promise.race([answered, aborted(signal)]);
  };

  /** What can be told only when all is over. */
  private takeNote(): void {
    const { happenings, winner, deployment } = this;
    if (winner === undefined) return;
    const { action, manuscript } = winner;
    if (action.fate === "died") happenings.add("writer's action died");
    if (manuscript.ended === "threw") happenings.add("writer threw");
    if (winner.plan.how === "take over" && winner.generated === "rejected") {
      happenings.add("left open for the next writer");
    }
    const { style } = this.schedule.writing;
    if (manuscript.stoppedAt !== null) {
      if (style === "ignores its signal") {
        happenings.add("writer ignored its signal");
      }
      if (style === "throws when stopped") {
        happenings.add("writer's abort listener threw");
      }
    }
    const { changes } = deployment;
    const grewAfterItsEnd = changes.some(({ tail }, i) => {
      const before = changes[i - 1]?.tail;
      return (
        before && tail && isFinal(before.status) && tail.offset > before.offset
      );
    });
    if (grewAfterItsEnd) happenings.add("last words after the end");
    if (changes.some(({ tail }) => (tail?.offset ?? 0) > 64 * 1024)) {
      happenings.add("text of more than one document");
    }
  }
}

/** Rejects when a request is aborted, as `fetch` does. */
function aborted(signal: AbortSignal | null | undefined): Promise<never> {
  return new Promise((_, reject) => {
    const fail = () =>
      reject(new DOMException("It was aborted.", "AbortError"));
    signal?.addEventListener("abort", fail);
    if (signal?.aborted) fail();
  });
}

/** A body that fails when its request is aborted, as `fetch` has it. */
function untilAborted(
  body: ReadableStream<Uint8Array>,
  signal: AbortSignal,
): ReadableStream<Uint8Array> {
  const reader = body.getReader();
  return new ReadableStream<Uint8Array>({
    start(controller) {
      signal.addEventListener("abort", () => {
        try {
          controller.error(new DOMException("It was aborted.", "AbortError"));
        } catch {
          // It has ended already.
        }
        reader.cancel().catch(() => {});
      });
    },
    async pull(controller) {
      const { done, value } = await reader.read();
      if (signal.aborted) return;
      if (done) controller.close();
      else controller.enqueue(value);
    },
    cancel: () => reader.cancel(),
  });
}
