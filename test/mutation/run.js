/**
 * `npm run test:mutation -- FILE[:FROM-TO] …`: changes the sources named in
 * hundreds of small ways, one at a time, and says which changes no test of
 * `npm test` notices. Takes minutes for each file. Stryker needs Node 22; where
 * this is an older one, npx brings another.
 */
import { spawnSync } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import process from "node:process";

const files = process.argv.slice(2);
if (files.length === 0) {
  console.error("Usage: npm run test:mutation -- src/client/saver.ts …");
  process.exit(1);
}
const config = "reports/stryker.config.json";
mkdirSync("reports", { recursive: true });
writeFileSync(
  config,
  JSON.stringify({
    mutate: files,
    testRunner: "vitest",
    vitest: { configFile: "test/mutation/mutation.vitest.config.ts" },
    plugins: ["@stryker-mutator/vitest-runner"],
    coverageAnalysis: "perTest",
    // Text of errors and docs is not behaviour.
    mutator: { excludedMutations: ["StringLiteral"] },
    reporters: ["clear-text", "json"],
    jsonReporter: { fileName: `reports/mutation.json` },
    clearTextReporter: { allowColor: false, logTests: false },
    concurrency: Number(process.env.CONCURRENCY ?? 2),
    timeoutMS: 20_000,
    ignorePatterns: ["dist", "dist-example", "docs", "reports", ".stryker-tmp"],
    allowEmpty: false,
  }),
);
const stryker = ["node_modules/@stryker-mutator/core/bin/stryker.js", "run"];
const isOld = Number(process.versions.node.split(".")[0]) < 22;
const [command, ...first] = isOld
  ? ["npx", "--yes", "--package", "node@22", "node"]
  : [process.execPath];
const { status } = spawnSync(command, [...first, ...stryker, config], {
  stdio: "inherit",
});
process.exit(status ?? 1);
