import { fileURLToPath } from "node:url";
import { createServer as createVite } from "vite";
import {
  startDeployment,
  type LocalDeployment,
} from "../local-deployment/deployment.js";
import {
  startModel,
  type Model,
} from "../local-deployment/model/model-server.js";
import { sources } from "../support/sources.js";

const projectPath = (path: string) =>
  fileURLToPath(new URL(`../../${path}`, import.meta.url));

/** The demo in this process, where a test can reach all of its parts. */
export interface Demo {
  /** Of the page, without a slash at its end. */
  url: string;
  deployment: LocalDeployment;
  model: Model;
  /** Sets how fast the model writes from now on. */
  pace(tokensPerSecond: number): Promise<void>;
  /** Sets or removes the key that the backend needs for the model. */
  setKey(key: string | undefined): void;
  close(): Promise<void>;
}

export const FAST = 400;

export async function startDemo(): Promise<Demo> {
  const model = await startModel({ tokensPerSecond: FAST, firstTokenMs: 50 });
  process.env.OPENAI_BASE_URL = model.baseURL;
  process.env.OPENAI_MODEL = "demo";
  const setKey = (key: string | undefined) => {
    if (key === undefined) delete process.env.OPENAI_API_KEY;
    else process.env.OPENAI_API_KEY = key;
  };
  setKey("none-needed");
  const deployment = await startDeployment({
    functionsDir: projectPath("example/convex"),
    components: { persistentTextStreaming: projectPath("src/component") },
    // Tests make writers fail and kill actions, which is logged.
    log: () => {},
  });
  process.env.VITE_CONVEX_URL = deployment.url;
  process.env.VITE_CONVEX_SITE_URL = deployment.siteUrl;
  process.env.VITE_LOCAL_DEPLOYMENT = "true";
  process.env.VITE_MODEL_URL = model.baseURL;
  const vite = await createVite({
    configFile: projectPath("example/vite.config.ts"),
    cacheDir: projectPath("node_modules/.vite-e2e"),
    resolve: { alias: sources },
    // Nothing is edited while the tests run, and pages must not reload by themselves.
    server: { port: 0, hmr: false, watch: null },
    logLevel: "warn",
  });
  await vite.listen();
  const url = vite.resolvedUrls?.local[0]?.replace(/\/$/, "");
  if (url === undefined) throw new Error("Vite did not report its URL.");
  return {
    url,
    deployment,
    model,
    async pace(tokensPerSecond) {
      await fetch(new URL("/pace", model.baseURL), {
        method: "POST",
        body: JSON.stringify({ tokensPerSecond }),
      });
    },
    setKey,
    async close() {
      await vite.close();
      await deployment.stop();
      await model.close();
    },
  };
}
