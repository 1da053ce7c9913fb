/**
 * `npm run demo`: the chat and everything it needs in one process, with no account,
 * no key and no network.
 *
 * The page, the functions, the Convex client and OpenAI's library are the ones
 * that run in production; only the deployment and the model are local stand-ins.
 */
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { createServer as createVite } from "vite";
import { startDeployment } from "./deployment.js";
import { DEFAULT_TOKENS_PER_SECOND, startModel } from "./model/model-server.js";

const projectPath = (path: string) =>
  fileURLToPath(new URL(`../../${path}`, import.meta.url));

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

function options() {
  let values;
  try {
    ({ values } = parseArgs({
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
    }));
  } catch (error) {
    throw new UsageError(`${(error as Error).message}\n\n${USAGE}`);
  }
  const port = (name: "port" | "convex-port" | "site-port" | "model-port") => {
    const number = Number(values[name]);
    if (!Number.isInteger(number) || number < 1 || number > 65535) {
      throw new UsageError(
        `--${name} must be a port (1 to 65535), not "${values[name]}".`,
      );
    }
    return number;
  };
  const tokensPerSecond = Number(values["tokens-per-second"]);
  if (!(tokensPerSecond > 0)) {
    throw new UsageError(
      `--tokens-per-second must be a positive number, not "${values["tokens-per-second"]}".`,
    );
  }
  return {
    help: values.help,
    port: port("port"),
    convexPort: port("convex-port"),
    sitePort: port("site-port"),
    modelPort: port("model-port"),
    data: values.data,
    tokensPerSecond,
  };
}

/** Names the option that moves the part whose port is taken. */
async function listening<T>(
  start: Promise<T>,
  part: string,
  ports: Record<string, number>,
): Promise<T> {
  try {
    return await start;
  } catch (error) {
    const { code, message, port } = error as NodeJS.ErrnoException & {
      port?: number;
    };
    // Vite has its own wording and sets no code.
    if (code !== "EADDRINUSE" && !/already in use/.test(message)) throw error;
    const [option, taken] =
      Object.entries(ports).find(([, number]) => number === port) ??
      Object.entries(ports)[0]!;
    throw new UsageError(
      `Port ${taken}, which ${part} needs, is in use. Is the demo already running? ` +
        `If not, choose another port: npm run demo -- ${option} ${taken + 1000}. ` +
        `(npm run demo -- --help lists all options.)`,
    );
  }
}

async function main() {
  const { help, port, convexPort, sitePort, modelPort, data, tokensPerSecond } =
    options();
  if (help) {
    console.log(USAGE);
    return;
  }

  // Everything that was started, to be closed in reverse order.
  const endings: (() => Promise<void>)[] = [];
  let closing: Promise<void> | undefined;
  const close = () =>
    (closing ??= (async () => {
      for (const end of endings.reverse()) await end();
    })());
  const end = () => void close().finally(() => process.exit());
  process.once("SIGINT", end);
  process.once("SIGTERM", end);

  try {
    // A key of the user's own means the real API (or the one they point to).
    let modelName = process.env.OPENAI_MODEL ?? "OpenAI's API";
    if (!process.env.OPENAI_API_KEY) {
      const model = await listening(
        startModel({ port: modelPort, tokensPerSecond }),
        "the model",
        { "--model-port": modelPort },
      );
      endings.push(() => model.close());
      process.env.OPENAI_API_KEY = "none-needed";
      process.env.OPENAI_BASE_URL = model.baseURL;
      process.env.OPENAI_MODEL = "demo";
      process.env.VITE_MODEL_URL = model.baseURL;
      modelName = `canned replies from ${model.baseURL}, ${tokensPerSecond} tokens per second`;
    }

    const deployment = await listening(
      startDeployment({
        functionsDir: projectPath("example/convex"),
        components: {
          persistentTextStreaming: projectPath("src/component"),
        },
        port: convexPort,
        sitePort,
        data,
      }),
      "the deployment",
      { "--convex-port": convexPort, "--site-port": sitePort },
    );
    endings.push(() => deployment.stop());

    process.env.VITE_CONVEX_URL = deployment.url;
    process.env.VITE_CONVEX_SITE_URL = deployment.siteUrl;
    process.env.VITE_LOCAL_DEPLOYMENT = "true";
    const vite = await createVite({
      configFile: projectPath("example/vite.config.ts"),
      server: { port, strictPort: true },
      clearScreen: false,
      logLevel: "warn",
    });
    endings.push(() => vite.close());
    await listening(vite.listen(), "the page", { "--port": port });

    console.log(`
  The demo is running:  http://localhost:${port}

  page        http://localhost:${port}, /assistant and /compare
  functions   ${deployment.url}, HTTP actions ${deployment.siteUrl}
  model       ${modelName}

  ${data === undefined ? "All data is in memory and is gone when the demo stops." : `All data is in ${data}.`} Press Ctrl-C to stop.
`);
  } catch (error) {
    await close();
    if (!(error instanceof UsageError)) throw error;
    console.error(error.message);
    process.exitCode = 1;
  }
}

await main().catch((error: unknown) => {
  if (!(error instanceof UsageError)) throw error;
  console.error(error.message);
  process.exitCode = 1;
});
