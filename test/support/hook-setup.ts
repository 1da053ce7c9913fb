import type { TestProject } from "vitest/node";
import { startDeployment } from "../local-deployment/deployment.js";

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
        functionsDir: "test/support/app",
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
