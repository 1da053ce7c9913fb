/** `npm run load`: many streams at once, for a long time, in one table. */
import { cpus, loadavg, totalmem } from "node:os";
import { parseArgs } from "node:util";
import { load, type LoadCase, type Sample } from "./workload.js";

const USAGE = `npm run load -- [options]

  --streams <n>      written at once (500)
  --followers <n>    subscriptions that follow them (2000)
  --connections <n>  over so many WebSockets (100)
  --resumers <n>     streams that are read with readStream, too (100)
  --sentences <n>    of each stream (30); then it is deleted, and the next begins
  --every <ms>       from one sentence of a stream to the next (5000)
  --seconds <n>      for so long (1800)
  --help`;

const what: LoadCase = {
  streams: 500,
  followers: 2000,
  connections: 100,
  resumers: 100,
  sentences: 30,
  every: 5000,
  seconds: 1800,
};
const { values } = parseArgs({
  options: {
    help: { type: "boolean" },
    ...Object.fromEntries(
      Object.keys(what).map((name) => [name, { type: "string" as const }]),
    ),
  },
});
const { help, ...numbers } = values as Record<string, string | true>;
if (help) {
  console.log(USAGE);
  process.exit();
}
for (const [name, value] of Object.entries(numbers)) {
  what[name as keyof LoadCase] = Number(value);
}

const result = await load(what, (line) => console.error(line));
const { before, during, after, lag } = result;

const MB = (bytes: number) => `${(bytes / 1e6).toFixed(0)} MB`;
const row = (when: string, { deployment, readers }: Sample) =>
  `| ${when} | ${MB(deployment.rss)} | ${MB(deployment.heap)} | ${MB(readers.rss)} | ${MB(readers.heap)} |`;
/** Ten of the samples, evenly over the time. */
const step = Math.max(1, Math.ceil(during.length / 10));
const shown = during.filter((_, i) => i % step === 0);
const [cpu] = cpus();
console.log(`${JSON.stringify(what)}
${cpu?.model.trim()}, ${cpus().length} cores, ${Math.round(totalmem() / 2 ** 30)} GiB, load ${loadavg()[1]?.toFixed(1)}; node ${process.versions.node}

${result.streams} streams, ${result.readings} readings; lag p50 ${lag.p50} ms, p99 ${lag.p99} ms, at most ${lag.max} ms; ${result.problems.length} problems

| when | deployment, RSS | heap | readers, RSS | heap |
| --- | --: | --: | --: | --: |
${row("before", before)}
${shown.map((sample) => row(`${(sample.at / 60).toFixed(1)} min`, sample)).join("\n")}
${row("after all were deleted", after)}`);
process.exitCode = result.problems.length > 0 ? 1 : 0;
