/** What is measured, section by section, and which rows come of it. */
import { driving, firstByte } from "./driving.js";
import type { FollowingCase, FollowingResult } from "./following.js";
import { beside, clicks, long } from "./beside.js";
import { heap, rendering } from "./hook.js";
import type { Hook } from "./hook/beside-page.js";
import { withHost, type Host } from "./bench-host.js";
import { many } from "./many.js";
import { minute, type ReadBy } from "./minute.js";
import { opening } from "./opening.js";
import { costOfThousand } from "./prices.js";
import { emptyDay, fallback, silence, unwritten } from "./idle.js";
import { rowsOf, type Row } from "./rows.js";
import { sizeOf } from "./size.js";
import { medians } from "./statistics.js";
import { targets, type TargetName } from "./targets.js";

export interface Scope {
  /** Leaves out what takes long. */
  quick: boolean;
  /** Says what is going on. */
  report: (line: string) => void;
}

type Section = (scope: Scope) => Promise<Row[]>;

/** Milliseconds from token to token: a fast model, and one as they mostly are. */
const FAST = 5;
const USUAL = 1000 / 60;

const CLAIM =
  "A commit claims the stream before the model is asked, so that two tabs or a retry do not run it twice. The published package only reads the status.";

const DISTANCE =
  "Commits are 400 ms apart, because each commit, and each update it causes, is a billed call. The slowest characters arrive no later.";
const OTHERS =
  "The machine had other work, which moves these times by up to a factor of two: compare what the same takes alone.";
const AT_LINES =
  "This package also saves at line breaks, so that lists, tables and code do not wait for a full stop.";

/** Runs something with one target after the other, each in a fresh process. */
async function each<Result>(
  names: readonly TargetName[],
  run: (host: Host, name: TargetName) => Promise<Result>,
): Promise<Partial<Record<TargetName, Result>>> {
  const results: Partial<Record<TargetName, Result>> = {};
  for (const name of names) {
    results[name] = await withHost(name, (host) => run(host, name));
  }
  return results;
}

/** The same, a few times over: the median of each figure. In turn, so that what else the machine does falls on all of them. */
async function inTurn<Name extends string>(
  names: readonly TargetName[],
  times: number,
  run: (host: Host, name: TargetName) => Promise<Record<Name, number>>,
): Promise<Partial<Record<TargetName, Record<Name, number>>>> {
  const rounds: Partial<Record<TargetName, Record<Name, number>>>[] = [];
  for (let i = 0; i < times; i++) rounds.push(await each(names, run));
  return Object.fromEntries(
    names.map((name) => [
      name,
      medians(rounds.flatMap((round) => round[name] ?? [])),
    ]),
  );
}

const following: Section = async ({ quick, report }) => {
  const all: TargetName[] = ["ours", "dropIn", "published", "agent"];
  const texts = quick ? [200, 2000, 8000] : [200, 2000, 8000, 50_000];
  const crowds = quick ? [10] : [10, 100, 1000];
  const rows: Row[] = [];
  const add = async (
    what: Omit<FollowingCase, "clock">,
    title: string,
    rowsFor: (
      title: string,
      results: Partial<Record<TargetName, FollowingResult>>,
    ) => Row[],
  ) => {
    report(`following: ${title}`);
    const results = await each(all, (host) =>
      host.following({ ...what, clock: "stopped" }),
    );
    rows.push(...rowsFor(title, results));
  };
  for (const tokens of texts) {
    const title = `${tokens.toLocaleString("en")} tokens at 200/s`;
    await add({ tokens, pace: FAST, followers: 1 }, title, costRows);
  }
  await add(
    { tokens: 2000, pace: USUAL, followers: 1 },
    "2,000 tokens at 60/s",
    costRows,
  );
  for (const followers of crowds) {
    await add(
      { tokens: 2000, pace: FAST, followers },
      `2,000 tokens at 200/s, ${followers.toLocaleString("en")} followers`,
      crowdRows,
    );
  }
  return rows;
};

function priced(results: Partial<Record<TargetName, FollowingResult>>) {
  return Object.fromEntries(
    Object.entries(results).map(([name, result]) => [
      name,
      {
        ...result,
        perCharacter: result.bytesPushed / result.characters,
        cost: costOfThousand(result),
      },
    ]),
  );
}

const pushed = {
  name: "perCharacter",
  metric: "bytes pushed per character",
  unit: "perCharacter",
} as const;
const cost = {
  name: "cost",
  metric: "price of 1,000 replies",
  unit: "dollars",
} as const;
const calls = {
  name: "functionCalls",
  metric: "function calls",
  unit: "count",
  reason:
    "At this pace a sentence takes longer than `minDelayMs`, so both packages save once per sentence, this one also at line breaks. A follower also asks again where a page ends.",
} as const;
const runs = {
  name: "queryRuns",
  metric: "query runs",
  unit: "count",
  reason: calls.reason,
} as const;

function costRows(
  title: string,
  results: Partial<Record<TargetName, FollowingResult>>,
): Row[] {
  return rowsOf("Following a reply", title, priced(results), [
    { name: "commits", metric: "commits", unit: "count" },
    runs,
    calls,
    { name: "documentsRead", metric: "documents read", unit: "count" },
    {
      name: "bytesRead",
      metric: "bytes read",
      unit: "bytes",
      reason:
        "A chunk is a page of about 500 characters that grows in place, and each commit reads it. The published package's many small chunks cost more from the second page on.",
    },
    {
      name: "bytesWritten",
      metric: "bytes written",
      unit: "bytes",
      reason:
        "Each commit rewrites the newest page, and a finished reply is packed into as few documents as possible. That is what makes reading cheap. The extra bytes cost less than two cents per 1,000 replies.",
    },
    pushed,
    cost,
  ]);
}

function crowdRows(
  title: string,
  results: Partial<Record<TargetName, FollowingResult>>,
): Row[] {
  return rowsOf("Following a reply", title, priced(results), [
    runs,
    calls,
    pushed,
    cost,
  ]);
}

const drive: Section = async ({ quick, report }) => {
  const names: TargetName[] = ["ours", "published"];
  const tokens = quick ? 400 : 1000;
  const rows: Row[] = [];
  for (const commitDelay of [0, 20, 100]) {
    const what = `commits of ${commitDelay} ms`;
    report(`driving: ${what}`);
    const results = await inTurn(names, quick ? 1 : 3, async (host) => {
      await firstByte(host, 0, 3); // Once for all that is loaded only then.
      const paced = await driving(host, { tokens, pace: FAST, commitDelay });
      const unpaced = await driving(host, {
        tokens: 2 * tokens,
        pace: 0,
        commitDelay,
      });
      return {
        firstByte: await firstByte(host, commitDelay, 10),
        ...paced,
        overPace: paced.took / (paced.took - paced.beyond),
        speed: unpaced.tokensPerSecond,
      };
    });
    rows.push(
      ...rowsOf("Driving a reply", what, results, [
        {
          name: "firstByte",
          metric: "request to first byte",
          unit: "ms",
          reason: CLAIM,
        },
        { name: "appendP50", metric: "an append waits, p50", unit: "ms" },
        { name: "appendP99", metric: "an append waits, p99", unit: "ms" },
        {
          name: "appendMax",
          metric: "an append waits, at most",
          unit: "ms",
          reason:
            "The longest of a thousand waits is a pause of the process, garbage collection for one.",
        },
        {
          name: "beyond",
          metric: `${tokens} tokens at 200/s: ms beyond that`,
          unit: "ms",
          reason: `${CLAIM} The response ends only after the last text and the status are saved.`,
        },
        {
          name: "speed",
          metric: "tokens, if the writer never pauses",
          unit: "perSecond",
          better: "more",
        },
      ]),
    );
  }
  return rows;
};

const open: Section = async ({ quick, report }) => {
  const replies = 50;
  const tokens = quick ? 500 : 2000;
  const what = `${replies} replies of ${tokens.toLocaleString("en")} tokens`;
  report(`opening: ${what}`);
  const results = await each(["ours", "dropIn", "published"], (host, name) =>
    opening(host, targets[name], { replies, tokens }),
  );
  return rowsOf("Opening a chat", what, results, [
    { name: "documentsRead", metric: "documents read", unit: "count" },
    { name: "bytesRead", metric: "bytes read", unit: "bytes" },
    {
      name: "bytesPushed",
      metric: "bytes pushed",
      unit: "bytes",
      reason:
        "Each page says where it starts and where the next one does, about 25 bytes.",
    },
    { name: "took", metric: "until all are there", unit: "ms" },
  ]);
};

const hook: Section = async ({ quick, report }) => {
  const names = ["ours", "dropIn", "published"] as const;
  const rows: Row[] = [];
  for (const [speed, tokens] of [
    [60, quick ? 100 : 500],
    [500, quick ? 500 : 2000],
  ] as const) {
    const what = `${speed} tokens a second`;
    report(`hook: ${what}`);
    const results = await inTurn(names, quick ? 1 : 3, (host, name) =>
      rendering(host, name as (typeof names)[number], tokens, 1000 / speed),
    );
    rows.push(
      ...rowsOf("The hook in Chromium", what, results, [
        { name: "renders", metric: "renders per 1,000 tokens", unit: "count" },
        {
          name: "scripts",
          metric: "main thread in scripts, per 1,000 tokens",
          unit: "ms",
        },
        {
          name: "mainThread",
          metric: "main thread in all, per 1,000 tokens",
          unit: "ms",
          reason:
            "Mostly painting, once per frame in both. Two runs of the same package differ by as much.",
        },
      ]),
    );
  }
  const replies = quick ? 3 : 10;
  const what = `${replies} replies of 8,000 tokens`;
  report(`hook: ${what}`);
  const results = await each(names, async (host, name) => ({
    heap: await heap(host, name as (typeof names)[number], replies, 8000),
  }));
  rows.push(
    ...rowsOf("The hook in Chromium", what, results, [
      {
        name: "heap",
        metric: "heap of the page",
        unit: "bytes",
        noise: 0.05,
      },
    ]),
  );
  return rows;
};

const busy: Section = async ({ quick, report }) => {
  const rounds = quick ? 1 : 2;
  const rows: Row[] = [];
  const add = (what: string, metric: string, values: Row["values"]) =>
    rows.push({
      ...{ section: "Beside a reply", what, metric, unit: "ms", values },
      ...{ noise: 0.25, reason: OTHERS },
    });
  /** The best of some rounds for each hook, in turn: what else runs on the machine only adds to it. */
  async function best<Name extends string>(
    what: string,
    hooks: readonly Name[],
    measure: (host: Host, hook: Hook) => Promise<number>,
  ): Promise<Record<Name, number>> {
    const figures = Object.fromEntries(
      hooks.map((hook) => [hook, Infinity]),
    ) as Record<Name, number>;
    for (let round = 1; round <= rounds; round++) {
      for (const name of hooks) {
        report(`beside: ${what}, ${name}, ${round} of ${rounds}`);
        const hook = name === "alone" ? null : (name as Hook);
        const took = await withHost("ours", (host) => measure(host, hook));
        figures[name] = Math.min(figures[name], took);
      }
    }
    return figures;
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
      add(what, `time it takes, ${measured}`, { ours, published });
    }
    const { loop, ours, published } = await best(
      `clicks, ${measured}`,
      ["loop", "ours", "published"],
      (host, hook) => clicks(host, hook, 20, react),
    );
    const what = `a click beside a reply whose rendering takes 100 ms; beside a bare loop ${loop.toFixed(0)} ms`;
    add(what, `p95, ${measured}`, { ours, published });
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
    const metric = "main thread in scripts, per 1,000 tokens";
    add(`${what} shown before`, metric, { ours, published });
    add(`${what} shown before`, `${metric}, as lines`, { ours: lines });
  }
  return rows;
};

const crowd: Section = async ({ quick, report }) => {
  const streams = quick ? 50 : 200;
  const tokens = quick ? 120 : 300;
  const what = `${streams} streams of ${tokens} tokens at 60/s, each followed`;
  report(`many: ${what}`);
  const results = await inTurn(
    ["ours", "published"],
    quick ? 1 : 3,
    (host, name) => many(host, targets[name], { streams, tokens, pace: USUAL }),
  );
  return rowsOf("Many at once", what, results, [
    {
      name: "commitsPerSecond",
      metric: "commits a second",
      unit: "perSecond",
      reason: AT_LINES,
    },
    {
      name: "lagP50",
      metric: "append to follower, p50",
      unit: "ms",
      reason: DISTANCE,
    },
    { name: "lagP99", metric: "append to follower, p99", unit: "ms" },
    { name: "took", metric: "until all are complete", unit: "ms" },
    {
      name: "cpu",
      metric: "CPU time of the deployment",
      unit: "ms",
      reason:
        "There are fewer commits, but each one also checks the claim, the offset and the deadline, and the writer reads the status of its stream once a second.",
    },
    {
      name: "memory",
      metric: "memory of the deployment",
      unit: "bytes",
      noise: 0.15,
    },
    { name: "lost", metric: "characters lost", unit: "count" },
  ]);
};

const reading: Section = async ({ quick, report }) => {
  const seconds = quick ? 10 : 60;
  const rows: Row[] = [];
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
    rows.push(
      ...rowsOf("Reading for a minute", title, { ours, resumed, polled }, [
        calls,
        runs,
        { name: "documentsRead", metric: "documents read", unit: "count" },
        { name: "bytesRead", metric: "bytes read", unit: "bytes" },
        { name: "bytesPushed", metric: "bytes pushed", unit: "bytes" },
        { ...cost, metric: "price of 1,000 minutes" },
      ]),
    );
  }
  return rows;
};

/** What the reader of a silent stream, and its writer, cost. */
const waiting: Section = async ({ report }) => {
  const rows: Row[] = [];
  for (const [what, measure] of [
    ["5 minutes of silence in a reply, one follower", silence],
    ["500 streams that nobody writes, until they time out", unwritten],
    ["a day without streams", emptyDay],
    ["a fallback of a reply that ends first", fallback(5)],
    ["a fallback of a reply that outlasts it", fallback(4000)],
  ] as const) {
    report(`waiting: ${what}`);
    const ours = await withHost("ours", measure);
    rows.push(
      ...rowsOf("While nothing is written", what, { ours }, [
        calls,
        { name: "documentsRead", metric: "documents read", unit: "count" },
        { name: "bytesRead", metric: "bytes read", unit: "bytes" },
        { name: "bytesWritten", metric: "bytes written", unit: "bytes" },
      ]),
    );
  }
  return rows;
};

const size: Section = async ({ report }) => {
  report("size");
  const source = (path: string) => new URL(`../src/${path}`, import.meta.url);
  const published = (path: string) =>
    new URL(import.meta.resolve(`persistent-text-streaming-published${path}`));
  const reason =
    "This is the code for stop, resume, exactly-once saving and incremental followers. The backend's part is never sent to a browser.";
  const entries = [
    ["the backend's entry", source("client/index.ts"), published("")],
    ["the hook's entry", source("react/index.ts"), published("/react")],
  ] as const;
  const rows: Row[] = [];
  for (const [what, ours, theirs] of entries) {
    const results = {
      ours: await sizeOf(ours),
      published: await sizeOf(theirs),
    };
    rows.push(
      ...rowsOf("Size", what, results, [
        { name: "minified", metric: "minified", unit: "bytes", reason },
        { name: "gzip", metric: "and gzip", unit: "bytes", reason },
        { name: "brotli", metric: "and brotli", unit: "bytes", reason },
      ]),
    );
  }
  return rows;
};

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
