/** What is measured, section by section, and the rows that come of it. */
import { charactersOf } from "./apps/writer.js";
import { withHost, type Host } from "./bench-host.js";
import {
  beside,
  clicks,
  growing,
  heap,
  rendering,
  type ReactVersion,
} from "./browser.js";
import { costOfThousand, median, sizeOf } from "./figures.js";
import {
  driving,
  emptyDay,
  fallback,
  many,
  minute,
  opening,
  silence,
  unwritten,
} from "./replies.js";
import type { Figure, Row } from "./table.js";
import type { TargetName } from "./targets.js";

type FigureName = keyof typeof figures;
type Measured = Partial<Record<FigureName, number>>;
/** Measures something in a fresh process. */
type Measure = (host: Host, name: TargetName) => Promise<Measured>;

interface Section {
  title: string;
  targets: readonly TargetName[];
  /** How often to measure each target; the table shows the median. Default: once. */
  rounds?: number;
  /** Measures all targets at once. For measurements that mostly wait. */
  together?: boolean;
  /** What to measure, by its name in the table. */
  cases: Record<string, Measure>;
}

/** Milliseconds from token to token, of a fast model and of a usual one. */
const FAST = 5;
const USUAL = 1000 / 60;

const CLAIM =
  "A commit claims the stream before the model is asked, so that two tabs or a retry do not run it twice. The published package only reads the status.";
const PACE =
  "At this pace a sentence takes longer than `minDelayMs`, so both packages save once per sentence, this one also at line breaks. A follower also asks again where a page ends.";
const BESIDE = {
  unit: "ms",
  noise: 0.25,
  reason:
    "The machine had other work, which moves these times by up to a factor of two: compare what the same takes alone.",
} as const;
const SIZE = {
  unit: "bytes",
  reason:
    "This is the code for stop, resume, exactly-once saving and incremental followers. The backend's part is never sent to a browser.",
} as const;

/** In the order of the tables' rows. */
const figures = {
  commits: { metric: "commits", unit: "count" },
  queryRuns: { metric: "query runs", unit: "count", reason: PACE },
  functionCalls: { metric: "function calls", unit: "count", reason: PACE },
  documentsRead: { metric: "documents read", unit: "count" },
  bytesRead: {
    metric: "bytes read",
    unit: "bytes",
    reason:
      "A chunk is a page of about 500 characters that grows in place, and each commit reads it. The published package's many small chunks cost more from the second page on.",
  },
  bytesWritten: {
    metric: "bytes written",
    unit: "bytes",
    reason:
      "Each commit rewrites the newest page, and a finished reply is packed into as few documents as possible. That is what makes reading cheap. The extra bytes cost less than two cents per 1,000 replies.",
  },
  bytesPushed: {
    metric: "bytes pushed",
    unit: "bytes",
    reason:
      "Each page says where it starts and where the next one does, about 25 bytes.",
  },
  perCharacter: { metric: "bytes pushed per character", unit: "perCharacter" },
  cost: { metric: "price of 1,000 replies", unit: "dollars" },
  costOfMinutes: { metric: "price of 1,000 minutes", unit: "dollars" },

  firstByte: { metric: "request to first byte", unit: "ms", reason: CLAIM },
  appendP50: { metric: "an append waits, p50", unit: "ms" },
  appendP99: { metric: "an append waits, p99", unit: "ms" },
  appendMax: {
    metric: "an append waits, at most",
    unit: "ms",
    reason:
      "The longest of a thousand waits is a pause of the process, garbage collection for one.",
  },
  beyond: {
    metric: "at 200 tokens/s: ms beyond the model's own",
    unit: "ms",
    reason: `${CLAIM} The response ends only after the last text and the status are saved.`,
  },
  tokensPerSecond: {
    metric: "tokens, if the writer never pauses",
    unit: "perSecond",
    better: "more",
  },
  allThere: { metric: "until all are there", unit: "ms" },

  renders: { metric: "renders per 1,000 tokens", unit: "count" },
  scripts: {
    metric: "main thread in scripts, per 1,000 tokens",
    unit: "ms",
    reason:
      "Each update waits for the next frame, so that fast replies and slow pages render less. At this pace every token is an update, and waiting for the frame costs a little.",
  },
  mainThread: {
    metric: "main thread in all, per 1,000 tokens",
    unit: "ms",
    reason:
      "Mostly painting, once per frame in both. Two runs of the same package differ by as much.",
  },
  heap: {
    metric: "heap of the page",
    unit: "bytes",
    noise: 0.05,
    reason:
      "The reader keeps a copy of each text, so that a component that mounts again shows it at once.",
  },
  beside: { metric: "time it takes", ...BESIDE },
  click: { metric: "p95 until it is rendered", ...BESIDE },
  mainThreadBeside: {
    metric: "main thread in all, per 1,000 tokens",
    ...BESIDE,
  },

  commitsPerSecond: {
    metric: "commits a second",
    unit: "perSecond",
    reason:
      "This package also saves at line breaks, so that lists, tables and code do not wait for a full stop.",
  },
  lagP50: {
    metric: "append to follower, p50",
    unit: "ms",
    reason:
      "Commits are 400 ms apart, because each commit, and each update it causes, is a billed call. The slowest characters arrive no later.",
  },
  lagP99: { metric: "append to follower, p99", unit: "ms" },
  allComplete: { metric: "until all are complete", unit: "ms" },
  cpu: {
    metric: "CPU time of the deployment",
    unit: "ms",
    reason:
      "There are fewer commits, but each one also checks the claim, the offset and the deadline, and the writer reads the status of its stream once a second.",
  },
  memory: { metric: "memory of the deployment", unit: "bytes", noise: 0.15 },
  lost: { metric: "characters lost", unit: "count" },

  minified: { metric: "minified", ...SIZE },
  gzip: { metric: "and gzip", ...SIZE },
  brotli: { metric: "and brotli", ...SIZE },
} satisfies Record<string, Figure>;

/** What one reply and its followers cost. */
const following =
  (tokens: number, pace: number, followers = 1): Measure =>
  async (host) => {
    const counted = await host.following({ tokens, pace, followers });
    const { bytesPushed, ...others } = counted;
    const { queryRuns, functionCalls } = others;
    return {
      // The rest does not depend on how many follow.
      ...(followers === 1 ? others : { queryRuns, functionCalls }),
      perCharacter: bytesPushed / charactersOf(tokens),
      cost: costOfThousand(counted),
    };
  };

/** What driving a reply takes, while commits take `delay` (ms). */
const drivingAt =
  (delay: number, tokens: number): Measure =>
  async (host) => {
    const drive = (tokens: number, pace: number) =>
      driving(host, delay, { tokens, pace });
    const firstBytes: number[] = [];
    // The first three also load everything.
    for (let i = -3; i < 10; i++) {
      const { firstByte } = await drive(1, 0);
      if (i >= 0) firstBytes.push(firstByte);
    }
    const { tokensPerSecond } = await drive(2 * tokens, 0);
    const paced = await drive(tokens, FAST);
    return { ...paced, firstByte: median(firstBytes), tokensPerSecond };
  };

/** What readers add to the counts in `time` (ms). */
const readingFor =
  (time: number, pace: number, readers: number): Measure =>
  (host, name) =>
    withHost("ours", (unread) => {
      const plan = { tokens: 1 + Math.round(time / pace), pace };
      return minute(host, unread, name, plan, readers);
    });

/** Other work on a page while a reply streams. */
const besideReply = (react: ReactVersion): Section["cases"] => ({
  [`a transition of 300 ms, React ${react}`]: (host, name) =>
    beside(host, name, "transition", react),
  [`a deferred value of 300 ms, React ${react}`]: (host, name) =>
    beside(host, name, "deferred value", react),
  [`a click, each rendering of the reply takes 100 ms, React ${react}`]: (
    host,
    name,
  ) => clicks(host, name, react),
});

const source = (path: string) => new URL(`../src/${path}`, import.meta.url);
const published = (path: string) =>
  new URL(import.meta.resolve(`persistent-text-streaming-published${path}`));

/** @param quick Skips slow cases, and makes the others shorter. */
export function sectionsFor(quick = false): Record<string, Section> {
  const rounds = quick ? 1 : 3;
  const tokens = quick ? 400 : 1000;
  const long = quick ? 500 : 2000;
  const streams = quick ? 50 : 200;
  const replies = quick ? 3 : 10;
  const time = quick ? 10_000 : 60_000;
  return {
    following: {
      title: "Following a reply",
      targets: ["ours", "dropIn", "published", "agent"],
      cases: {
        "200 tokens at 200/s": following(200, FAST),
        "2,000 tokens at 200/s": following(2000, FAST),
        "8,000 tokens at 200/s": following(8000, FAST),
        ...(!quick && { "50,000 tokens at 200/s": following(50_000, FAST) }),
        "2,000 tokens at 60/s": following(2000, USUAL),
        "2,000 tokens at 200/s, 10 followers": following(2000, FAST, 10),
        ...(!quick && {
          "2,000 tokens at 200/s, 100 followers": following(2000, FAST, 100),
          "2,000 tokens at 200/s, 1,000 followers": following(2000, FAST, 1000),
        }),
      },
    },
    driving: {
      title: "Driving a reply",
      targets: ["ours", "published"],
      rounds,
      cases: {
        "commits of 0 ms": drivingAt(0, tokens),
        "commits of 20 ms": drivingAt(20, tokens),
        "commits of 100 ms": drivingAt(100, tokens),
      },
    },
    opening: {
      title: "Opening a chat",
      targets: ["ours", "dropIn", "published"],
      cases: {
        [`50 replies of ${long.toLocaleString("en")} tokens`]: (host, name) =>
          opening(host, name, { replies: 50, tokens: long }),
      },
    },
    hook: {
      title: "The hook in Chromium",
      targets: ["ours", "dropIn", "published"],
      rounds,
      cases: {
        "60 tokens a second": (host, name) =>
          rendering(host, name, tokens / 2, USUAL),
        "500 tokens a second": (host, name) => rendering(host, name, long, 2),
        [`${replies} replies of 8,000 tokens`]: (host, name) =>
          heap(host, name, replies, 8000),
      },
    },
    beside: {
      title: "Beside a reply",
      targets: ["alone", "loop", "ours", "lines", "published"],
      rounds: quick ? 1 : 2,
      cases: {
        ...besideReply("18.3"),
        ...besideReply("19"),
        "nothing shown before": (host, name) => growing(host, name, 0),
        "5 MB, 100,000 lines shown before": (host, name) =>
          growing(host, name, 5e6),
      },
    },
    many: {
      title: "Many at once",
      targets: ["ours", "published"],
      rounds,
      cases: {
        [`${streams} streams of 300 tokens at 60/s, each followed`]: (
          host,
          name,
        ) => many(host, name, streams, { tokens: 300, pace: USUAL }),
      },
    },
    reading: {
      title: "Reading for a minute",
      targets: ["ours", "resumed", "polled"],
      together: true,
      cases: {
        "60 tokens a second, one reader": readingFor(time, USUAL, 1),
        "200 tokens a second, one reader": readingFor(time, FAST, 1),
        "200 tokens a second, ten readers": readingFor(time, FAST, 10),
        "silence, one reader": readingFor(time, time, 1),
      },
    },
    waiting: {
      title: "While nothing is written",
      targets: ["ours"],
      cases: {
        "5 minutes of silence in a reply, one follower": silence,
        "500 streams that nobody writes, until they time out": unwritten,
        "a day without streams": emptyDay,
        "a fallback of a reply that ends first": fallback(5),
        "a fallback of a reply that outlasts it": fallback(4000),
      },
    },
    saving: {
      title: "The least time between two saves",
      targets: ["after400ms", "after1s", "after2s", "after5s"],
      together: true,
      cases: {
        "a reply of 2,000 tokens at 60/s": following(2000, USUAL),
        "two replies of 900 tokens at once": async (host, name) => {
          const plan = { tokens: 900, pace: USUAL };
          const { lagP50, lagP99 } = await many(host, name, 2, plan);
          return { lagP50, lagP99 };
        },
      },
    },
    size: {
      title: "Size",
      targets: ["ours", "published"],
      cases: {
        "the backend's entry": (_, name) =>
          sizeOf(name === "ours" ? source("client/index.ts") : published("")),
        "the hook's entry": (_, name) =>
          sizeOf(
            name === "ours" ? source("react/index.ts") : published("/react"),
          ),
      },
    },
  };
}

/** Measures everything of a section. */
export async function rowsOf(section: Section): Promise<Row[]> {
  const { title, targets: names, rounds = 1, together, cases } = section;
  const rows: Row[] = [];
  for (const [what, measure] of Object.entries(cases)) {
    const results: Partial<Record<TargetName, Measured[]>> = {};
    // In turn, so that other work of the machine affects all of them.
    const turns = together ? [names] : names.map((name) => [name]);
    for (const turn of Array.from({ length: rounds }, () => turns).flat()) {
      console.error(`… ${title}: ${what}, ${turn.join(", ")}`);
      const measured = turn.map(async (name) => {
        const result = await withHost(name, (host) => measure(host, name));
        (results[name] ??= []).push(result);
      });
      await Promise.all(measured);
    }
    for (const figure of Object.keys(figures) as FigureName[]) {
      const values: Row["values"] = {};
      for (const name of names) {
        const all = results[name]?.flatMap((result) => result[figure] ?? []);
        if (all?.length) values[name] = median(all);
      }
      if (Object.keys(values).length === 0) continue;
      rows.push({ section: title, what, ...figures[figure], values });
    }
  }
  return rows;
}
