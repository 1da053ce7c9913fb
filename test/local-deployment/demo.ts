/**
 * `npm run demo`: the chat and everything it needs in one process, with no account,
 * no key and no network.
 *
 * The page, the functions, the Convex client and OpenAI's library are the ones
 * that run in production; only the deployment and the model are local stand-ins.
 */
import { Command, InvalidArgumentError } from "commander";
import { startParts } from "./demo-parts.js";
import { DEFAULT_TOKENS_PER_SECOND } from "./model/model-server.js";

const upTo = (max: number) => (text: string) => {
  const value = Number(text);
  if (value > 0 && value <= max) return value;
  throw new InvalidArgumentError(`Expected a positive number up to ${max}.`);
};
const port = upTo(65535);

const program = new Command("npm run demo --")
  .option("--port <n>", "the page", port, 5173)
  .option("--convex-port <n>", "queries and mutations", port, 3210)
  .option("--site-port <n>", "HTTP actions", port, 3211)
  .option("--model-port <n>", "the fake model", port, 3212)
  .option("--data <folder>", "keep all data there for the next run")
  .option(
    "--tokens-per-second <n>",
    "the fake model's speed",
    upTo(1e6),
    DEFAULT_TOKENS_PER_SECOND,
  )
  .parse();
const options = program.opts<
  Record<
    "port" | "convexPort" | "sitePort" | "modelPort" | "tokensPerSecond",
    number
  > & { data?: string }
>();

/** If a port is taken, names the option that moves the part it is for. */
function explain(error: unknown): never {
  const { message } = error as Error;
  const isTaken = message.includes("already in use");
  const taken = Number(/(\d+)\D*$/.exec(message)?.[1]);
  const option = program.options.find(
    (option) => program.getOptionValue(option.attributeName()) === taken,
  );
  if (!isTaken || option === undefined) throw error;
  return program.error(
    `Port ${taken} is in use. Is the demo already running? ` +
      `If not, choose another port: npm run demo -- ${option.long} ${taken + 1000}. ` +
      `(npm run demo -- --help lists all options.)`,
  );
}

const { data, tokensPerSecond } = options;
// A key of the user's own means the real API (or the one they point to).
const ownModel = process.env.OPENAI_API_KEY
  ? (process.env.OPENAI_MODEL ?? "OpenAI's API")
  : null;
const demo = await startParts({
  model: ownModel ? null : { port: options.modelPort, tokensPerSecond },
  deployment: { port: options.convexPort, sitePort: options.sitePort, data },
  vite: {
    server: { port: options.port, strictPort: true },
    clearScreen: false,
  },
}).catch(explain);
const end = () => void demo.close().finally(() => process.exit());
process.once("SIGINT", end);
process.once("SIGTERM", end);
console.log(`
  The demo is running:  http://localhost:${options.port}

  page        http://localhost:${options.port}, /assistant and /compare
  functions   ${demo.deployment.url}, HTTP actions ${demo.deployment.siteUrl}
  model       ${ownModel ?? `canned replies from ${demo.model?.baseURL}, ${tokensPerSecond} tokens per second`}

  ${data === undefined ? "All data is in memory and is gone when the demo stops." : `All data is in ${data}.`} Press Ctrl-C to stop.
`);
