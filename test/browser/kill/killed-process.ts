/**
 * A local deployment in a separate process, which can be killed. The first argument has
 * its options as JSON. It prints its URLs as one line of JSON, and ends with the process
 * that started it.
 */
import {
  startDeployment,
  type DeploymentOptions,
} from "../../local-deployment/deployment.js";

const deployment = await startDeployment({
  ...(JSON.parse(process.argv[2] ?? "{}") as DeploymentOptions),
  log: (line) => console.error(line),
});
console.log(
  JSON.stringify({ url: deployment.url, siteUrl: deployment.siteUrl }),
);
process.stdin.on("end", () => process.exit()).resume();
