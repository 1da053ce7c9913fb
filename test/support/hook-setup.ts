import { fileURLToPath } from "node:url";
import type { TestProject } from "vitest/node";
import { startDeployment } from "../local-deployment/deployment.js";
import { startLine } from "../lab/hook/line.js";

const folder = (path: string) => fileURLToPath(new URL(path, import.meta.url));

declare module "vitest" {
  export interface ProvidedContext {
    /** The local deployment that runs `test/support/app`. */
    deployment: {
      url: string;
      siteUrl: string;
      /** The HTTP actions too, by a line that can be troubled: see `faults/line.ts`. */
      lineUrl: string;
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
  const line = await startLine(siteUrl);
  provide("deployment", { url, siteUrl, lineUrl: line.url });
  return async () => {
    await line.close();
    await deployment.stop();
  };
}
