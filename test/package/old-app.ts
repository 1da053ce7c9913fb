/** The app of 0.3 (`apps/v0.3`) on a local deployment, with 0.3.3 or with this package. */
import { mkdirSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import type { Value } from "convex/values";
import { inject } from "vitest";
import { startDeployment } from "../local-deployment/deployment.js";
import { copySources, generate, repository } from "./fresh-app.js";

/** 0.3.3, as published. */
export const publishedPackage = join(
  repository,
  "node_modules/persistent-text-streaming-published",
);

export interface Body {
  text: string;
  status: string;
}

/** Starts the app with the package in the folder `installed`. Its data is in memory, or in the folder `data`. */
export async function startOldApp(
  name: string,
  installed: string,
  data?: string,
) {
  const folder = join(inject("packed").folder, "..", name);
  copySources("v0.3", folder);
  generate(folder);
  const scope = join(folder, "node_modules/@convex-dev");
  mkdirSync(scope, { recursive: true });
  symlinkSync(installed, join(scope, "persistent-text-streaming"));
  const component = join(installed, "dist/component");
  const deployment = await startDeployment({
    functionsDir: join(folder, "convex"),
    components: { persistentTextStreaming: component, anotherOne: component },
    log: () => {},
    ...(data && { data }),
  });
  const call = (name: string, args: Record<string, Value> = {}) =>
    deployment.call(`patterns:${name}`, args);
  return {
    folder,
    deployment,
    call,
    /** Calls one of the component's functions. */
    lib: (name: string, args: Record<string, Value>) =>
      deployment.call(`lib:${name}`, args, {
        component: "persistentTextStreaming",
      }),
    create: () => call("create") as Promise<string>,
    add: (streamId: string, text: string) => call("add", { streamId, text }),
    end: (streamId: string, status: string) =>
      call("end", { streamId, status }),
    remove: (streamId: string) => call("remove", { streamId }),
    body: (streamId: string) =>
      call("body", { streamId }) as unknown as Promise<Body>,
    /** Posts to the HTTP action. */
    post: (streamId: string, search = "") =>
      fetch(`${deployment.siteUrl}/write${search}`, {
        method: "POST",
        body: JSON.stringify({ streamId }),
      }),
  };
}
export type OldApp = Awaited<ReturnType<typeof startOldApp>>;
