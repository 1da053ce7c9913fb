/** `npm run load`: many streams at once, each with several readers, one stream after the other. */
import { loadavg } from "node:os";
import { createHistogram } from "node:perf_hooks";
import { fileURLToPath } from "node:url";
import { Command } from "commander";
import type { ConvexReactClient } from "convex/react";
import { makeFunctionReference } from "convex/server";
import { readStream, watchStream } from "../src/browser/index.js";
import { isFinal } from "../src/shared.js";
import { tokens, writeUrl } from "./apps/writer.js";
import { memory, withHost, type Host, type Memory } from "./bench-host.js";
import { machine } from "./figures.js";
import { connect } from "./followers.js";
import { createStream } from "./replies.js";
import { units } from "./table.js";

/** What a run can be told, and what it does if it is not. */
const OPTIONS = {
  streams: [500, "written at once"],
  followers: [2000, "subscriptions that follow them"],
  connections: [100, "over so many WebSockets"],
  resumers: [100, "streams that readStream reads, too"],
  tokens: [300, "of each stream, then it is deleted"],
  burst: [10, "tokens at once"],
  pace: [5000, "ms from one burst to the next"],
  seconds: [1800, "in which a stream that ends is followed by a new one"],
} as const;
type LoadCase = Record<keyof typeof OPTIONS, number>;

interface Sample {
  /** Seconds since the beginning. */
  at: number;
  deployment: Memory;
  readers: Memory;
}

const MAX_LAG_MS = 60_000;
const sleep = (ms: number) => new Promise((goOn) => setTimeout(goOn, ms));
const page = makeFunctionReference<"query">("streams:page");

export const load = (
  what: LoadCase,
  report: (line: string) => void = () => {},
) => withHost("ours", (host) => run(host, what, report));

async function run(host: Host, what: LoadCase, report: (line: string) => void) {
  const begin = Date.now();
  let clients: ConvexReactClient[] = [];
  /** From a token's arrival at the driver to a follower's showing it (ms). */
  const lags = createHistogram({ lowest: 1, highest: MAX_LAG_MS });
  /** Readers that did not end with the exact text and `done`. */
  const problems: string[] = [];
  let streams = 0;
  let readings = 0;
  const lag = () => ({
    p50: lags.percentile(50),
    p99: lags.percentile(99),
    max: lags.max,
  });

  /** One stream, from its creation to its deletion. */
  async function slot(index: number, plan = what) {
    const text = tokens(plan.tokens).join("");
    const streamId = await createStream(host);
    /** When the driver had how much. */
    const arrivals: { length: number; at: number }[] = [];
    const check = (who: string, read: string, status: string) => {
      readings++;
      if (read === text && status === "done") return;
      problems.push(
        `Stream ${streamId}: ${who} has ${read.length} of ${text.length} characters, ${status}`,
      );
      report(problems.at(-1)!);
    };

    /** Reads over HTTP. It asks again if the machine, at its limit, breaks a connection. */
    async function read(who: string, drive?: string) {
      const stream = readStream(`${host.siteUrl}/resume`, { streamId, drive });
      let read = "";
      for await (const piece of stream) {
        read += piece;
        if (drive) arrivals.push({ length: read.length, at: Date.now() });
      }
      check(who, read, stream.status);
    }

    function follow(client: ConvexReactClient): Promise<void> {
      const options = { streamId, incremental: true };
      const reader = watchStream(client, page, options);
      let seen = 0;
      return new Promise((resolve) => {
        reader.subscribe(() => {
          const { text, status } = reader.getSnapshot();
          for (; (arrivals[seen]?.length ?? Infinity) <= text.length; seen++) {
            const lag = Date.now() - arrivals[seen]!.at;
            lags.record(Math.min(MAX_LAG_MS, Math.max(1, lag)));
          }
          if (!isFinal(status)) return;
          reader.close();
          check("a follower", text, status);
          resolve();
        });
      });
    }

    // The followers of a stream are on different connections.
    const each = clients.length > 0 ? what.followers / what.streams : 0;
    const readers = Array.from({ length: each }, (_, i) =>
      follow(clients[(index * each + i) % clients.length]!),
    );
    if (index < what.resumers) readers.push(read("a reader"));
    await Promise.all([read("the driver", writeUrl(host, plan)), ...readers]);
    const saved = (await host.call("streams:body", { streamId })) as {
      text: string;
      status: string;
    };
    check("the database", saved.text, saved.status);
    await host.call("streams:remove", { streamId });
    streams++;
  }

  async function sample(): Promise<Sample> {
    const at = Math.round((Date.now() - begin) / 1000);
    const readers = await memory();
    const now = { at, readers, deployment: await host.memory() };
    report(
      `${JSON.stringify({ ...now, streams, lag: lag() })}; ${problems.length} problems`,
    );
    return now;
  }

  // Run one stream first, so that modules loaded on first use do not count as growth.
  await slot(0, { ...what, tokens: 10 });
  clients = Array.from({ length: what.connections }, () => connect(host.url));
  const samples = [await sample()];
  const lasts = what.seconds * 1000;
  const until = Date.now() + lasts;
  const sampling = (async () => {
    while (Date.now() < until) {
      await sleep(Math.max(1000, lasts / 10));
      samples.push(await sample());
    }
  })();
  const spread = Math.min((what.tokens / what.burst) * what.pace, lasts) / 2;
  await Promise.all(
    Array.from({ length: what.streams }, async (_, index) => {
      // Spread over half the time that a stream takes: some end while others are written.
      await sleep((index / what.streams) * spread);
      do await slot(index);
      while (Date.now() < until);
    }),
  );
  await sampling;
  await Promise.all(clients.map((client) => client.close()));
  clients = [];
  samples.push(await sample());
  return { streams, readings, problems, lag: lag(), samples };
}

async function main() {
  const command = new Command("npm run load --");
  for (const [name, [value, meaning]] of Object.entries(OPTIONS)) {
    command.option(`--${name} <n>`, meaning, Number, value);
  }
  const what = command.parse().opts<LoadCase>();
  const result = await load(what, (line) => console.error(line));
  const { streams, readings, lag, problems, samples } = result;
  const rows = samples.map(({ at, deployment, readers }) => {
    const sizes = [deployment.rss, deployment.heap, readers.rss, readers.heap];
    const cells = [
      `${(at / 60).toFixed(1)} min`,
      ...sizes.map((size) => units.bytes(size)),
    ];
    return `| ${cells.join(" | ")} |`;
  });
  console.log(`${JSON.stringify(what)}
${machine()}, load ${loadavg()[1]?.toFixed(1)}; node ${process.versions.node}

${streams} streams, ${readings} readings; lag p50 ${lag.p50} ms, p99 ${lag.p99} ms, at most ${lag.max} ms; ${problems.length} problems

| from before to after all | deployment, RSS | heap | readers, RSS | heap |
| --- | --: | --: | --: | --: |
${rows.join("\n")}`);
  process.exitCode = problems.length > 0 ? 1 : 0;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await main();
