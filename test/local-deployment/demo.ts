/**
 * `npm run demo`: the chat and everything it needs in one process, with no account,
 * no key and no network.
 *
 * The page, the functions, the Convex client and OpenAI's library are the ones
 * that run in production; only the deployment and the model are local stand-ins.
 */
import { parseArgs } from "node:util";
import { startParts } from "./demo-parts.js";
import { DEFAULT_TOKENS_PER_SECOND } from "./model/model-server.js";

const USAGE = `npm run demo -- [options]

  --port <n>               the page (5173)
  --convex-port <n>        queries and mutations (3210)
  --site-port <n>          HTTP actions (3211)
  --model-port <n>         the fake model (3212)
  --data <folder>          keep all data there for the next run
  --tokens-per-second <n>  the fake model's speed (${DEFAULT_TOKENS_PER_SECOND})
  --help`;

/** An error whose message says what to do, so it needs no stack trace. */
class UsageError extends Error {}

/** Values of the options, by name. */
function parse() {
  try {
    return parseArgs({
      options: {
        port: { type: "string", default: "5173" },
        "convex-port": { type: "string", default: "3210" },
        "site-port": { type: "string", default: "3211" },
        "model-port": { type: "string", default: "3212" },
        data: { type: "string" },
        "tokens-per-second": {
          type: "string",
          default: String(DEFAULT_TOKENS_PER_SECOND),
        },
        help: { type: "boolean", default: false },
      },
    }).values;
  } catch (error) {
    throw new UsageError(`${(error as Error).message}\n\n${USAGE}`);
  }
}

function options() {
  const { help, data, ...numbers } = parse();
  const number = (name: keyof typeof numbers, max: number) => {
    const value = Number(numbers[name]);
    if (value > 0 && value <= max) return value;
    throw new UsageError(
      `--${name} must be a positive number up to ${max}, not "${numbers[name]}".`,
    );
  };
  const port = (name: keyof typeof numbers) => number(name, 65535);
  return {
    help,
    data,
    port: port("port"),
    convexPort: port("convex-port"),
    sitePort: port("site-port"),
    modelPort: port("model-port"),
    tokensPerSecond: number("tokens-per-second", 1e6),
  };
}

/** Names the option that moves the part whose port is taken. */
function explained(error: unknown, ports: Record<string, number>): unknown {
  // Vite has its own wording, and sets no code.
  const { code, message, port } = error as NodeJS.ErrnoException & {
    port?: number;
  };
  if (code !== "EADDRINUSE" && !/already in use/.test(message)) return error;
  const taken = port ?? Number(/\d+/.exec(message)?.[0]);
  const [option] = Object.entries(ports).find(([, n]) => n === taken) ?? [];
  if (option === undefined) return error;
  return new UsageError(
    `Port ${taken} is in use. Is the demo already running? ` +
      `If not, choose another port: npm run demo -- ${option} ${taken + 1000}. ` +
      `(npm run demo -- --help lists all options.)`,
  );
}

async function main() {
  const { help, port, convexPort, sitePort, modelPort, data, tokensPerSecond } =
    options();
  if (help) {
    console.log(USAGE);
    return;
  }
  // A key of the user's own means the real API (or the one they point to).
  const ownModel = process.env.OPENAI_API_KEY
    ? (process.env.OPENAI_MODEL ?? "OpenAI's API")
    : null;
  const demo = await startParts({
    model: ownModel ? null : { port: modelPort, tokensPerSecond },
    deployment: { port: convexPort, sitePort, data },
    vite: { server: { port, strictPort: true }, clearScreen: false },
  }).catch((error: unknown) => {
    throw explained(error, {
      "--port": port,
      "--convex-port": convexPort,
      "--site-port": sitePort,
      "--model-port": modelPort,
    });
  });
  const end = () => void demo.close().finally(() => process.exit());
  process.once("SIGINT", end);
  process.once("SIGTERM", end);
  console.log(`
  The demo is running:  http://localhost:${port}

  page        http://localhost:${port}, /assistant and /compare
  functions   ${demo.deployment.url}, HTTP actions ${demo.deployment.siteUrl}
  model       ${ownModel ?? `canned replies from ${demo.model?.baseURL}, ${tokensPerSecond} tokens per second`}

  ${data === undefined ? "All data is in memory and is gone when the demo stops." : `All data is in ${data}.`} Press Ctrl-C to stop.
`);
}

await main().catch((error: unknown) => {
  if (!(error instanceof UsageError)) throw error;
  console.error(error.message);
  process.exitCode = 1;
});
