/** What is compared. */
import { fileURLToPath } from "node:url";

const here = (path: string) => fileURLToPath(new URL(path, import.meta.url));
const installed = (specifier: string) =>
  fileURLToPath(new URL(".", import.meta.resolve(specifier)));

export type TargetName = "ours" | "resumed" | "dropIn" | "published" | "agent";

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
  dropIn: { ...ours, title: "this package, as a drop-in", follower: "reader" },
  published: {
    title: "published 0.3.3",
    app: here("./apps/published"),
    component: {
      name: "persistentTextStreaming",
      folder: installed("persistent-text-streaming-published/convex.config.js"),
    },
    follower: "useQuery",
  },
  agent: {
    title: "@convex-dev/agent 0.6.4",
    app: here("./apps/agent"),
    component: {
      name: "agent",
      folder: installed("@convex-dev/agent/convex.config.js"),
    },
    follower: "deltas",
  },
};
