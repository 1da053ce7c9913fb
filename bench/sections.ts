/** What is measured, section by section, and the rows that come of it. */
import type { Counters } from "../test/local-deployment/deployment.js";
import { withHost, type Host } from "./bench-host.js";
import {
  beside,
  clicks,
  heap,
  long,
  rendering,
  type Shown,
} from "./browser.js";
import { combined, costOfThousand, median, sizeOf } from "./figures.js";
import {
  driving,
  emptyDay,
  fallback,
  many,
  minute,
  opening,
  silence,
  unwritten,
  type ReadBy,
} from "./replies.js";
import { rowsOf, type Row, type Unit } from "./table.js";
import { targets, type TargetName } from "./targets.js";

export interface Scope {
  /** Leaves out what takes long. */
  quick: boolean;
  /** Says what is going on. */
  report: (line: string) => void;
}

type Section = (scope: Scope) => AsyncIterable<Row>;

/** Milliseconds from token to token, of a fast model and of a usual one. */
const FAST = 5;
const USUAL = 1000 / 60;

const CLAIM =
  "A commit claims the stream before the model is asked, so that two tabs or a retry do not run it twice. The published package only reads the status.";
const OTHERS =
  "The machine had other work, which moves these times by up to a factor of two: compare what the same takes alone.";
const PACE =
  "At this pace a sentence takes longer than `minDelayMs`, so both packages save once per sentence, this one also at line breaks. A follower also asks again where a page ends.";

const figure = <Name extends string>(
  name: Name,
  metric: string,
  unit: Unit,
  rest: Pick<Row, "reason" | "better" | "noise"> = {},
) => ({ name, metric, unit, ...rest });

// What several sections count.
const commits = figure("commits", "commits", "count");
const runs = figure("queryRuns", "query runs", "count", { reason: PACE });
const calls = figure("functionCalls", "function calls", "count", {
  reason: PACE,
});
const documents = figure("documentsRead", "documents read", "count");
const bytesRead = figure("bytesRead", "bytes read", "bytes");
const bytesWritten = figure("bytesWritten", "bytes written", "bytes");
const bytesPushed = figure("bytesPushed", "bytes pushed", "bytes");

/**
 * Measures something for one name after the other, some `times`, and combines the
 * values of each figure. In turn, so that other work of the machine affects all names.
 */
async function inTurn<Name extends string, Figure extends string>(
  names: readonly Name[],
  times: number,
  measure: (name: Name) => Promise<Record<Figure, number>>,
  combine = median,
): Promise<Record<Name, Record<Figure, number>>> {
  const rounds: Record<Name, Record<Figure, number>>[] = [];
  for (let i = 0; i < times; i++) {
    const round = {} as (typeof rounds)[number];
    for (const name of names) round[name] = await measure(name);
    rounds.push(round);
  }
  return Object.fromEntries(
    names.map((name) => [
      name,
      combined(
        rounds.map((round) => round[name]),
        combine,
      ),
    ]),
  ) as (typeof rounds)[number];
}

/** The median of some `times` for each target, each in a fresh process. */
const each = <Name extends TargetName, Figure extends string>(
  names: readonly Name[],
  times: number,
  measure: (host: Host, name: Name) => Promise<Record<Figure, number>>,
) =>
  inTurn(names, times, (name) => withHost(name, (host) => measure(host, name)));

async function* following({ quick, report }: Scope) {
  const perCharacter = figure(
    "perCharacter",
    "bytes pushed per character",
    "perCharacter",
  );
  const cost = figure("cost", "price of 1,000 replies", "dollars");
  const ofCrowd = [runs, calls, perCharacter, cost];
  const ofOne = [
    commits,
    runs,
    calls,
    documents,
    {
      ...bytesRead,
      reason:
        "A chunk is a page of about 500 characters that grows in place, and each commit reads it. The published package's many small chunks cost more from the second page on.",
    },
    {
      ...bytesWritten,
      reason:
        "Each commit rewrites the newest page, and a finished reply is packed into as few documents as possible. That is what makes reading cheap.",
    },
    perCharacter,
    cost,
  ];
  const number = (count: number) => count.toLocaleString("en");
  for (const [tokens, pace, followers] of [
    [200, FAST, 1],
    [2000, FAST, 1],
    [8000, FAST, 1],
    [50_000, FAST, 1],
    [2000, USUAL, 1],
    [2000, FAST, 10],
    [2000, FAST, 100],
    [2000, FAST, 1000],
  ] as const) {
    if (quick && (tokens > 8000 || followers > 10)) continue;
    const isCrowd = followers > 1;
    const title = `${number(tokens)} tokens at ${Math.round(1000 / pace)}/s${isCrowd ? `, ${number(followers)} followers` : ""}`;
    report(`following: ${title}`);
    const results = await each(
      ["ours", "dropIn", "published", "agent"],
      1,
      async (host) => {
        const result = await host.following({ tokens, pace, followers });
        const perCharacter = result.bytesPushed / result.characters;
        return { ...result, perCharacter, cost: costOfThousand(result) };
      },
    );
    const figures = isCrowd ? ofCrowd : ofOne;
    yield* rowsOf("Following a reply", title, results, figures);
  }
}

async function* drive({ quick, report }: Scope) {
  const tokens = quick ? 400 : 1000;
  for (const delay of [0, 20, 100]) {
    const what = `commits of ${delay} ms`;
    report(`driving: ${what}`);
    const results = await each(
      ["ours", "published"],
      quick ? 1 : 3,
      async (host) => {
        // The first of these also load everything.
        const firstBytes: number[] = [];
        for (let i = 0; i < 13; i++) {
          const short = await driving(host, delay, { tokens: 1, pace: 0 });
          firstBytes.push(short.firstByte);
        }
        const paced = await driving(host, delay, { tokens, pace: FAST });
        const eager = { tokens: 2 * tokens, pace: 0 };
        const { tokensPerSecond: speed } = await driving(host, delay, eager);
        return { ...paced, firstByte: median(firstBytes.slice(3)), speed };
      },
    );
    yield* rowsOf("Driving a reply", what, results, [
      figure("firstByte", "request to first byte", "ms", { reason: CLAIM }),
      figure("appendP50", "an append waits, p50", "ms"),
      figure("appendP99", "an append waits, p99", "ms"),
      figure("appendMax", "an append waits, at most", "ms", {
        reason:
          "The longest of a thousand waits is a pause of the process, garbage collection for one.",
      }),
      figure("beyond", `${tokens} tokens at 200/s: ms beyond that`, "ms", {
        reason: `${CLAIM} The response ends only after the last text and the status are saved.`,
      }),
      figure("speed", "tokens, if the writer never pauses", "perSecond", {
        better: "more",
      }),
    ]);
  }
}

async function* open({ quick, report }: Scope) {
  const replies = 50;
  const tokens = quick ? 500 : 2000;
  const what = `${replies} replies of ${tokens.toLocaleString("en")} tokens`;
  report(`opening: ${what}`);
  const results = await each(["ours", "dropIn", "published"], 1, (host, name) =>
    opening(host, targets[name], { replies, tokens }),
  );
  yield* rowsOf("Opening a chat", what, results, [
    documents,
    bytesRead,
    {
      ...bytesPushed,
      reason:
        "Each page says where it starts and where the next one does, about 25 bytes.",
    },
    figure("took", "until all are there", "ms"),
  ]);
}

async function* hook({ quick, report }: Scope) {
  const names = ["ours", "dropIn", "published"] as const;
  const section = "The hook in Chromium";
  for (const [speed, tokens] of [
    [60, quick ? 100 : 500],
    [500, quick ? 500 : 2000],
  ] as const) {
    const what = `${speed} tokens a second`;
    report(`hook: ${what}`);
    const results = await each(names, quick ? 1 : 3, (host, name) =>
      rendering(host, name, tokens, 1000 / speed),
    );
    yield* rowsOf(section, what, results, [
      figure("renders", "renders per 1,000 tokens", "count"),
      figure("scripts", "main thread in scripts, per 1,000 tokens", "ms", {
        reason:
          "Each update waits for the next frame, so that fast replies and slow pages render less. At this pace every token is an update, and the wait costs 0.07 ms of scripts.",
      }),
      figure("mainThread", "main thread in all, per 1,000 tokens", "ms", {
        reason:
          "Mostly painting, once per frame in both. Two runs of the same package differ by as much.",
      }),
    ]);
  }
  const replies = quick ? 3 : 10;
  const what = `${replies} replies of 8,000 tokens`;
  report(`hook: ${what}`);
  const results = await each(names, 1, async (host, name) => ({
    heap: await heap(host, name, replies, 8000),
  }));
  const heapOfPage = figure("heap", "heap of the page", "bytes", {
    noise: 0.05,
    reason:
      "The reader keeps a copy of each text, so that a component that mounts again shows it at once.",
  });
  yield* rowsOf(section, what, results, [heapOfPage]);
}

async function* busy({ quick, report }: Scope) {
  const row = (what: string, metric: string, values: Row["values"]): Row => ({
    ...{ section: "Beside a reply", what, metric, unit: "ms", values },
    ...{ noise: 0.25, reason: OTHERS },
  });
  /** The best of some rounds for each hook: other work of the machine only adds to it. */
  async function best<Name extends Shown>(
    what: string,
    hooks: readonly Name[],
    measure: (host: Host, hook: Name) => Promise<number>,
  ): Promise<Record<Name, number>> {
    const figures = await inTurn(
      hooks,
      quick ? 1 : 2,
      async (hook) => {
        report(`beside: ${what}, ${hook}`);
        const took = await withHost("ours", (host) => measure(host, hook));
        return { took };
      },
      (values) => Math.min(...values),
    );
    return Object.fromEntries(
      hooks.map((hook) => [hook, figures[hook].took]),
    ) as Record<Name, number>;
  }
  for (const react of ["18.3", "19"] as const) {
    const measured = `React ${react}`;
    for (const how of ["transition", "deferred value"] as const) {
      const { alone, loop, ours, published } = await best(
        `${how}, ${measured}`,
        ["alone", "loop", "ours", "published"],
        (host, hook) => beside(host, hook, how, 5, react),
      );
      const what = `a ${how} of 300 ms; alone ${alone.toFixed(0)} ms, beside a bare loop ${loop.toFixed(0)} ms`;
      yield row(what, `time it takes, ${measured}`, { ours, published });
    }
    const { loop, ours, published } = await best(
      `clicks, ${measured}`,
      ["loop", "ours", "published"],
      (host, hook) => clicks(host, hook, 20, react),
    );
    const what = `a click beside a reply whose rendering takes 100 ms; beside a bare loop ${loop.toFixed(0)} ms`;
    yield row(what, `p95, ${measured}`, { ours, published });
  }
  for (const [what, length] of [
    ["nothing", 0],
    ["5 MB, 100,000 lines", 5e6],
  ] as const) {
    const { ours, published, lines } = await best(
      what,
      ["ours", "published", "lines"],
      (host, hook) => long(host, hook, length),
    );
    const metric = "main thread in all, per 1,000 tokens";
    yield row(`${what} shown before`, metric, { ours, published });
    yield row(`${what} shown before`, `${metric}, as lines`, { ours: lines });
  }
}

async function* crowd({ quick, report }: Scope) {
  const streams = quick ? 50 : 200;
  const tokens = quick ? 120 : 300;
  const what = `${streams} streams of ${tokens} tokens at 60/s, each followed`;
  report(`many: ${what}`);
  const plan = { streams, tokens, pace: USUAL };
  const results = await each(
    ["ours", "published"],
    quick ? 1 : 3,
    (host, name) => many(host, targets[name], plan),
  );
  yield* rowsOf("Many at once", what, results, [
    figure("commitsPerSecond", "commits a second", "perSecond", {
      reason:
        "This package also saves at line breaks, so that lists, tables and code do not wait for a full stop.",
    }),
    figure("lagP50", "append to follower, p50", "ms", {
      reason:
        "Commits are 400 ms apart, because each commit, and each update it causes, is a billed call. The slowest characters arrive no later.",
    }),
    figure("lagP99", "append to follower, p99", "ms"),
    figure("took", "until all are complete", "ms"),
    figure("cpu", "CPU time of the deployment", "ms", {
      reason:
        "There are fewer commits, but each one also checks the claim, the offset and the deadline, and the writer reads the status of its stream once a second.",
    }),
    figure("memory", "memory of the deployment", "bytes", { noise: 0.15 }),
    figure("lost", "characters lost", "count"),
  ]);
}

async function* reading({ quick, report }: Scope) {
  const seconds = quick ? 10 : 60;
  for (const [title, pace, readers] of [
    ["60 tokens a second, one reader", USUAL, 1],
    ["200 tokens a second, one reader", FAST, 1],
    ["200 tokens a second, ten readers", FAST, 10],
    ["silence, one reader", seconds * 1000, 1],
  ] as const) {
    report(`reading: ${title}`);
    const tokens = 1 + Math.round((seconds * 1000) / pace);
    const measure = (by: ReadBy) =>
      withHost("ours", (read) =>
        withHost("ours", (unread) =>
          minute(read, unread, { tokens, pace, readers, by }),
        ),
      );
    const [ours, resumed, polled] = await Promise.all([
      measure("subscription"),
      measure("readStream"),
      measure("long-polls"),
    ]);
    yield* rowsOf("Reading for a minute", title, { ours, resumed, polled }, [
      calls,
      runs,
      documents,
      bytesRead,
      bytesPushed,
      figure("cost", "price of 1,000 minutes", "dollars"),
    ]);
  }
}

/** What a silent stream costs, with its reader and its writer. */
async function* waiting({ report }: Scope) {
  for (const [what, measure] of [
    ["5 minutes of silence in a reply, one follower", silence],
    ["500 streams that nobody writes, until they time out", unwritten],
    ["a day without streams", emptyDay],
    ["a fallback of a reply that ends first", fallback(5)],
    ["a fallback of a reply that outlasts it", fallback(4000)],
  ] as [string, (host: Host) => Promise<Counters>][]) {
    report(`waiting: ${what}`);
    const ours = { ...(await withHost("ours", measure)) };
    yield* rowsOf("While nothing is written", what, { ours }, [
      calls,
      documents,
      bytesRead,
      bytesWritten,
    ]);
  }
}

async function* size({ report }: Scope) {
  report("size");
  const source = (path: string) => new URL(`../src/${path}`, import.meta.url);
  const published = (path: string) =>
    new URL(import.meta.resolve(`persistent-text-streaming-published${path}`));
  const reason =
    "This is the code for stop, resume, exactly-once saving and incremental followers. The backend's part is never sent to a browser.";
  for (const [what, ours, theirs] of [
    ["the backend's entry", source("client/index.ts"), published("")],
    ["the hook's entry", source("react/index.ts"), published("/react")],
  ] as const) {
    const results = {
      ours: await sizeOf(ours),
      published: await sizeOf(theirs),
    };
    yield* rowsOf("Size", what, results, [
      figure("minified", "minified", "bytes", { reason }),
      figure("gzip", "and gzip", "bytes", { reason }),
      figure("brotli", "and brotli", "bytes", { reason }),
    ]);
  }
}

export const sections: Record<string, Section> = {
  following,
  driving: drive,
  opening: open,
  hook,
  beside: busy,
  many: crowd,
  reading,
  waiting,
  size,
};
