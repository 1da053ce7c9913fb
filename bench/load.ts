/** `npm run load`: many streams at once, for a long time, in one table. */
import { cpus, loadavg, totalmem } from "node:os";
import { parseArgs } from "node:util";
import { load, type LoadCase, type Sample } from "./load/workload.js";

const USAGE = `npm run load -- [options]

  --streams <n>      written at once (500)
  --followers <n>    subscriptions that follow them (2000)
  --connections <n>  over so many WebSockets (100)
  --resumers <n>     streams that are read with readStream, too (100)
  --sentences <n>    of each stream (30); then it is deleted, and the next begins
  --every <ms>       from one sentence of a stream to the next (5000)
  --minutes <n>      for so long (30)
  --help`;

const { values } = parseArgs({
  options: {
    streams: { type: "string", default: "500" },
    followers: { type: "string", default: "2000" },
    connections: { type: "string", default: "100" },
    resumers: { type: "string", default: "100" },
    sentences: { type: "string", default: "30" },
    every: { type: "string", default: "5000" },
    minutes: { type: "string", default: "30" },
    help: { type: "boolean", default: false },
  },
});
if (values.help) {
  console.log(USAGE);
  process.exit();
}
const { help: _, minutes, ...numbers } = values;
const what = {
  ...Object.fromEntries(
    Object.entries(numbers).map(([name, value]) => [name, Number(value)]),
  ),
  seconds: Number(minutes) * 60,
} as unknown as LoadCase;

const result = await load(what, (line) => console.error(line));
const { before, during, after, lag } = result;

const MB = (bytes: number) => `${(bytes / 1e6).toFixed(0)} MB`;
const row = (when: string, { deployment, readers }: Sample) =>
  `| ${when} | ${MB(deployment.rss)} | ${MB(deployment.heap)} | ${MB(readers.rss)} | ${MB(readers.heap)} |`;
/** Ten of the samples, evenly over the time. */
const shown = during.filter(
  (_, i) => i % Math.max(1, Math.ceil(during.length / 10)) === 0,
);
const [cpu] = cpus();
console.log(`${JSON.stringify(what)}
${cpu?.model.trim()}, ${cpus().length} cores, ${Math.round(totalmem() / 2 ** 30)} GiB, load ${loadavg()[1]?.toFixed(1)}; node ${process.versions.node}

${result.streams} streams, ${result.readings} readings; lag p50 ${lag.p50} ms, p99 ${lag.p99} ms, at most ${lag.max} ms; ${result.problems.length} problems

| when | deployment, RSS | heap | readers, RSS | heap |
| --- | --: | --: | --: | --: |
${row("before", before)}
${shown.map((sample) => row(`${Math.round(sample.at / 6) / 10} min`, sample)).join("\n")}
${row("after all were deleted", after)}`);
process.exitCode = result.problems.length > 0 ? 1 : 0;
