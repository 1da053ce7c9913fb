import type { LocalDeployment } from "../local-deployment/deployment.js";
import { projectPath, startParts } from "../local-deployment/demo-parts.js";
import type { Model } from "../local-deployment/model/model-server.js";
import { sources } from "../support/sources.js";

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
  const { model, ...parts } = await startParts({
    model: { tokensPerSecond: FAST, firstTokenMs: 50 },
    // Tests make writers fail and kill actions, which is logged.
    deployment: { log: () => {} },
    vite: {
      cacheDir: projectPath("node_modules/.vite-e2e"),
      resolve: { alias: sources },
      // Nothing is edited while the tests run, and pages must not reload by themselves.
      server: { port: 0, hmr: false, watch: null },
    },
  });
  return {
    ...parts,
    model: model!,
    async pace(tokensPerSecond) {
      await fetch(new URL("/pace", model!.baseURL), {
        method: "POST",
        body: JSON.stringify({ tokensPerSecond }),
      });
    },
    setKey(key) {
      if (key === undefined) delete process.env.OPENAI_API_KEY;
      else process.env.OPENAI_API_KEY = key;
    },
  };
}
