/** The writer of every app here, a model that emits a text at its own pace, and the route that drives it. */
import {
  httpActionGeneric,
  httpRouter,
  type GenericActionCtx,
  type GenericDataModel,
} from "convex/server";
import {
  textFor,
  tokenize,
} from "../../test/local-deployment/model/canned-replies.js";
import { clock } from "../../test/local-deployment/process-clock.js";

/** Two replies of a chat model, in Markdown. */
const cycle = tokenize(`${textFor("tides")}\n\n${textFor("bread")}\n`);

/** The first `count` tokens of a text that repeats forever. */
export function tokens(count: number): string[] {
  return Array.from({ length: count }, (_, i) => cycle[i % cycle.length] ?? "");
}

/** The length of that text (UTF-16 code units). */
export function charactersOf(count: number): number {
  return tokens(count).join("").length;
}

export interface Plan {
  tokens: number;
  /** Milliseconds from one token (or burst) to the next; 0: as fast as they are taken. */
  pace: number;
  /** How many tokens come at once. Default: 1. */
  burst?: number;
  /** Stops the clock for the time of writing, and waits for `settled` after each commit. */
  stopClock?: boolean;
}

/** Where a deployment's stream is driven by a plan. */
export function writeUrl({ siteUrl }: { siteUrl: string }, plan: Plan): string {
  return `${siteUrl}/write?plan=${encodeURIComponent(JSON.stringify(plan))}`;
}

/** What a writer notes. */
interface WriterRecord {
  /** How long each append took (ms). */
  waits: number[];
  /** When each token was appended (ms since 1970, on the real clock). */
  times: number[];
}

/** Where apps and sections, which live in the same process, meet. */
interface Meeting {
  records: Map<string, WriterRecord>;
  /** Resolves when all followers have what has been saved, up to `progress`. */
  settled: (progress: number) => Promise<void>;
}

const holder = globalThis as unknown as { benchMeeting?: Meeting };

export const meeting: Meeting = (holder.benchMeeting ??= {
  records: new Map(),
  settled: () => Promise.resolve(),
});

const wallClock = () => performance.timeOrigin + performance.now();

export type ActionCtx = GenericActionCtx<GenericDataModel>;
type Append = (token: string) => Promise<void>;

const cors = {
  "Access-Control-Allow-Origin": "*",
  "Access-Control-Allow-Headers": "Content-Type",
};

/** A router with `/write`, for what an app does with a request and a writer. */
export function writeRouter(
  stream: (
    ctx: ActionCtx,
    request: Request,
    streamId: string,
    writer: (append: Append) => Promise<void>,
  ) => Promise<Response>,
) {
  const http = httpRouter();
  http.route({
    path: "/write",
    method: "POST",
    handler: httpActionGeneric(async (ctx, request) => {
      const { streamId } = (await request.json()) as { streamId: string };
      const { searchParams } = new URL(request.url);
      const plan = JSON.parse(searchParams.get("plan")!) as Plan;
      // Already here: the packages set timers before they call the writer.
      if (plan.stopClock) clock.stop();
      const commits = new Commits();
      const response = await stream(
        commits.watch(ctx),
        request,
        streamId,
        (append) => write(streamId, plan, append, commits),
      );
      for (const [name, value] of Object.entries(cors)) {
        response.headers.set(name, value);
      }
      return response;
    }),
  });
  http.route({
    path: "/write",
    method: "OPTIONS",
    handler: httpActionGeneric(() =>
      Promise.resolve(new Response(null, { status: 204, headers: cors })),
    ),
  });
  return http;
}

async function write(
  streamId: string,
  plan: Plan,
  append: Append,
  commits: Commits,
): Promise<void> {
  const record: WriterRecord = { waits: [], times: [] };
  meeting.records.set(streamId, record);
  try {
    // The model does not wait: a writer that is late gets the next token at once.
    const first = clock.now();
    const { pace, burst = 1 } = plan;
    for (const [i, token] of tokens(plan.tokens).entries()) {
      const due = first + Math.floor(i / burst) * pace;
      if (pace > 0) await clock.until(due, () => commits.idle());
      if (plan.stopClock) await commits.settle();
      const before = wallClock();
      await append(token);
      record.times.push(before);
      record.waits.push(wallClock() - before);
      if (plan.stopClock) await commits.settle();
    }
  } finally {
    if (plan.stopClock) clock.start();
  }
}

type Run = (
  fn: never,
  args?: { text?: string; end?: number },
) => Promise<unknown>;

/** The calls of one writer: how far the text is saved, and whether one is in flight. */
class Commits {
  private readonly inFlight = new Set<Promise<unknown>>();
  private progress = 0;
  private settledAt = 0;

  /** The `ctx` of an action, with its calls watched. */
  watch<Ctx extends object>(ctx: Ctx): Ctx {
    const run = ctx as { runMutation: Run; runQuery: Run };
    const watched = (call: Promise<unknown>) => {
      this.inFlight.add(call);
      const over = () => void this.inFlight.delete(call);
      call.then(over, over);
      return call;
    };
    const runMutation: Run = async (fn, args) => {
      const result = await watched(run.runMutation(fn, args));
      this.progress = args?.end ?? this.progress + (args?.text ?? "").length;
      return result;
    };
    const runQuery: Run = (fn, args) => watched(run.runQuery(fn, args));
    return { ...ctx, runMutation, runQuery };
  }

  /** Waits until no call is in flight. */
  async idle(): Promise<void> {
    while (this.inFlight.size > 0) {
      await Promise.allSettled(this.inFlight);
      await new Promise((goOn) => setImmediate(goOn));
    }
  }

  /** Waits until no call is in flight and every follower has what was saved. */
  async settle(): Promise<void> {
    await this.idle();
    if (this.progress === this.settledAt) return;
    this.settledAt = this.progress;
    await meeting.settled(this.progress);
  }
}
