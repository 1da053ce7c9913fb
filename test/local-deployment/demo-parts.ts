/** What the demo consists of: a model, a deployment and a page, in this process. */
import { createServer, mergeConfig, type InlineConfig } from "vite";
import { startDeployment, type DeploymentOptions } from "./deployment.js";
import { projectPath } from "./functions.js";
import { startModel, type ModelOptions } from "./model/model-server.js";

export interface DemoParts {
  /** Null: the one that the environment names. */
  model: ModelOptions | null;
  /** Default: the example's functions. */
  deployment: Partial<DeploymentOptions>;
  vite: InlineConfig;
}

/** Starts the parts. If one cannot start, none stays. */
export async function startParts({ model, deployment, vite }: DemoParts) {
  // Everything that was started, to be closed in reverse order.
  const endings: (() => Promise<void>)[] = [];
  const close = async () => {
    for (const end of endings.splice(0).reverse()) await end();
  };
  try {
    const fake = model && (await startModel(model));
    if (fake !== null) {
      endings.push(() => fake.close());
      process.env.OPENAI_API_KEY = "none-needed";
      process.env.OPENAI_BASE_URL = fake.baseURL;
      process.env.OPENAI_MODEL = "demo";
      process.env.VITE_MODEL_URL = fake.baseURL;
    }
    const backend = await startDeployment({
      functionsDir: "example/convex",
      ...deployment,
    });
    endings.push(() => backend.stop());
    process.env.VITE_CONVEX_URL = backend.url;
    process.env.VITE_CONVEX_SITE_URL = backend.siteUrl;
    process.env.VITE_LOCAL_DEPLOYMENT = "true";
    const configFile = projectPath("example/vite.config.ts");
    const page = await createServer(
      mergeConfig({ configFile, logLevel: "warn" }, vite),
    );
    endings.push(() => page.close());
    await page.listen();
    const url = page.resolvedUrls?.local[0]?.replace(/\/$/, "");
    if (url === undefined) throw new Error("Vite did not report its URL.");
    return { url, deployment: backend, model: fake, close };
  } catch (error) {
    await close();
    throw error;
  }
}
