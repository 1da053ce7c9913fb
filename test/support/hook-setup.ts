import { fileURLToPath } from "node:url";
import type { TestProject } from "vitest/node";
import { startDeployment } from "../local-deployment/deployment.js";

const folder = (path: string) => fileURLToPath(new URL(path, import.meta.url));

declare module "vitest" {
  export interface ProvidedContext {
    /** The local deployment that runs `test/support/app`. */
    deployment: {
      url: string;
      siteUrl: string;
    };
  }
}

/** Vitest's global set-up: one local deployment for all the hook's tests. */
export default async function setup({ provide }: TestProject) {
  const deployment = await startDeployment({
    functionsDir: folder("./app"),
    components: { persistentTextStreaming: folder("../../src/component") },
    log: () => {},
  });
  const { url, siteUrl } = deployment;
  provide("deployment", { url, siteUrl });
  return () => deployment.stop();
}
