/**
 * `npm run test:mutation -- FILE[:FROM-TO]`: changes a source in hundreds of small
 * ways, one at a time, and lists the changes that its tests do not notice. Takes
 * minutes. Stryker requires Node 22; on an older one, npx fetches another.
 */
import { spawnSync } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import process from "node:process";

const ofComponent = [
  "lib",
  "deadlines",
  "text",
  "client/endings",
  "client/badInput",
  "componentBadInput",
];
/** The tests of each source, the quickest first. The others have all tests of their folder. */
const tests = {
  "client/flush": ["flush", "endings", "saver"],
  "client/follow": ["resume", "durable/durable"],
  "client/hook-api": ["routes"],
  "client/index": ["index", "badInput", "write", "resume", "endings"],
  "client/options": ["badInput", "endings"],
  "client/responses": ["responses"],
  "client/routes": ["routes"],
  "client/saver": ["write", "saver", "endings"],
  "client/values": ["values", "badInput"],
  "client/write": ["write", "badInput", "index", "endings"],
  "component/deadlines": ["client/endings", "deadlines"],
  "component/endings": ["client/endings", "deadlines", "lib"],
  "component/lib": ofComponent,
  "component/streams": ofComponent,
  "component/text": ofComponent,
  "component/v03": ofComponent,
  "browser/database-side": ["watch-stream", "database-side"],
  "browser/first-aid": ["watch-stream"],
  "browser/http-side": ["watch-stream", "database-side"],
  "browser/lines": ["lines"],
  "browser/pace": ["pace"],
  "browser/prefix": ["prefix", "database-side"],
  "browser/read-stream": ["read-stream"],
  "browser/request": ["read-stream", "watch-stream"],
  "browser/stream-reader": ["watch-stream", "database-side"],
  "browser/watch-stream": ["watch-stream", "database-side"],
};

const [file = "", ...rest] = process.argv.slice(2);
const [, name, folder] = /^src\/((\w+)\/[\w-]+)\.ts/.exec(file) ?? [];
if (name === undefined || rest.length > 0) {
  console.error("Usage: npm run test:mutation -- src/client/saver.ts[:10-20]");
  process.exit(1);
}
const folderOf = folder === "component" ? "test/component" : `src/${folder}`;
const chosen = (tests[name] ?? ["*"]).map((test) => {
  const path = test.includes("/") ? `src/${test}` : `${folderOf}/${test}`;
  return `${path}.test.ts?(x)`;
});
const report = `reports/${name.replace("/", "-")}`;
mkdirSync("reports", { recursive: true });
writeFileSync(
  `${report}.config.json`,
  JSON.stringify({
    mutate: [file],
    testRunner: "vitest",
    vitest: {
      configFile: "test/mutation/mutation.vitest.config.ts",
      related: false,
    },
    plugins: ["@stryker-mutator/vitest-runner"],
    coverageAnalysis: "perTest",
    ignoreStatic: true,
    // The text of errors is not behaviour.
    mutator: { excludedMutations: ["StringLiteral"] },
    reporters: ["progress-append-only", "clear-text", "json"],
    jsonReporter: { fileName: `${report}.json` },
    clearTextReporter: { allowColor: false, logTests: false },
    concurrency: Number(process.env.CONCURRENCY ?? 2),
    timeoutMS: 20_000,
    ignorePatterns: [
      "dist",
      "dist-example",
      "docs/api",
      "reports",
      "bench",
      "test/{browser,clients,conformance,deployment,lab,package,runtime}",
    ],
  }),
);
const stryker = ["node_modules/@stryker-mutator/core/bin/stryker.js", "run"];
const isOld = Number(process.versions.node.split(".")[0]) < 22;
const [command, ...first] = isOld
  ? ["npx", "--yes", "--package", "node@22", "node"]
  : [process.execPath];
const { status } = spawnSync(
  command,
  [...first, ...stryker, `${report}.config.json`],
  {
    stdio: "inherit",
    env: {
      ...process.env,
      MUTATION_TESTS: chosen.join(","),
    },
  },
);
process.exit(status ?? 1);
