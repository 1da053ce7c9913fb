/** What is compared. */
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

const here = (path: string) => fileURLToPath(new URL(path, import.meta.url));
const installed = (specifier: string) =>
  fileURLToPath(new URL(".", import.meta.resolve(specifier)));

/** The version of a package in node_modules, or of this one. */
export function versionOf(name: string): string {
  const file = new URL(
    name === "." ? "../package.json" : `../node_modules/${name}/package.json`,
    import.meta.url,
  );
  return (JSON.parse(readFileSync(file, "utf8")) as { version: string })
    .version;
}

export type TargetName =
  "ours" | "resumed" | "polled" | "dropIn" | "published" | "agent";

export interface Target {
  title: string;
  app: string;
  /** The name of the component in the app, and the folder of its functions. */
  component: { name: string; folder: string };
  /** What a follower runs: this package's reader, page by page or not; what `useQuery` runs; the agent's deltas. */
  follower: "pages" | "reader" | "useQuery" | "deltas";
}

const ours = {
  app: here("./apps/ours"),
  component: {
    name: "persistentTextStreaming",
    folder: here("../src/component"),
  },
};

export const targets: Record<TargetName, Target> = {
  ours: { ...ours, title: "this package, `incremental`", follower: "pages" },
  resumed: { ...ours, title: "this package, `readStream`", follower: "pages" },
  polled: { ...ours, title: "this package, long-polls", follower: "pages" },
  dropIn: { ...ours, title: "this package, as a drop-in", follower: "reader" },
  published: {
    title: `published ${versionOf("persistent-text-streaming-published")}`,
    app: here("./apps/published"),
    component: {
      name: "persistentTextStreaming",
      folder: installed("persistent-text-streaming-published/convex.config.js"),
    },
    follower: "useQuery",
  },
  agent: {
    title: `@convex-dev/agent ${versionOf("@convex-dev/agent")}`,
    app: here("./apps/agent"),
    component: {
      name: "agent",
      folder: installed("@convex-dev/agent/convex.config.js"),
    },
    follower: "deltas",
  },
};
