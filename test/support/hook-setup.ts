import { fileURLToPath } from "node:url";
import type { TestProject } from "vitest/node";
import { startDeployment } from "../local-deployment/deployment.js";

const folder = (path: string) => fileURLToPath(new URL(path, import.meta.url));

declare module "vitest" {
  export interface ProvidedContext {
    /** The local deployments that run `test/support/app`, one for each worker of the pool. */
    deployments: [Address, ...Address[]];
  }
}

interface Address {
  url: string;
  siteUrl: string;
}

/** Vitest's global set-up: deployments of their own for tests that run beside one another, for they cut connections. */
export default async function setup({ provide, config }: TestProject) {
  const deployments = await Promise.all(
    Array.from({ length: Number(config.maxWorkers) }, () =>
      startDeployment({
        functionsDir: folder("./app"),
        components: { persistentTextStreaming: folder("../../src/component") },
        log: () => {},
      }),
    ),
  );
  const [first, ...others] = deployments.map(({ url, siteUrl }) => ({
    url,
    siteUrl,
  }));
  provide("deployments", [first!, ...others]);
  return async () => {
    await Promise.all(deployments.map((deployment) => deployment.stop()));
  };
}
