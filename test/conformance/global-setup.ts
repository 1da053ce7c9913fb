import { fileURLToPath } from "node:url";
import type { TestProject } from "vitest/node";
import { startDeployment } from "../local-deployment/deployment.js";

const folder = (path: string) => fileURLToPath(new URL(path, import.meta.url));

declare module "vitest" {
  export interface ProvidedContext {
    /** The URL of the HTTP actions of the app for the conformance tests. */
    conformanceUrl: string;
  }
}

/** Vitest's global set-up: one local deployment for all tests of Durable Streams. */
export default async function setup({ provide }: TestProject) {
  const deployment = await startDeployment({
    functionsDir: folder("./app"),
    components: { persistentTextStreaming: folder("../../src/component") },
    log: () => {},
  });
  provide("conformanceUrl", deployment.siteUrl);
  return () => deployment.stop();
}
