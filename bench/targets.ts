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

/** An app, and how its streams are read. */
export interface Target {
  title: string;
  app: string;
  /** The name of the component in the app, and the folder of its functions. */
  component: { name: string; folder: string };
  /**
   * How streams are followed.
   *
   * - `pages`: with this package's hook and `incremental: true`.
   * - `reader`: with this package's hook alone.
   * - `readStream`: over HTTP.
   * - `long-polls`: with `readStream`, on a platform that delivers only complete
   *   responses, such as React Native.
   * - `useQuery`: as the published hook does.
   * - `deltas`: as `@convex-dev/agent` does.
   */
  follower:
    "pages" | "reader" | "readStream" | "long-polls" | "useQuery" | "deltas";
  /** `flush.minDelayMs`, if it is not the default. */
  minDelayMs?: number;
}

const ours: Omit<Target, "title"> = {
  app: here("./apps/ours"),
  component: {
    name: "persistentTextStreaming",
    folder: here("../src/component"),
  },
  follower: "pages",
};

/** In the order of the tables' columns. */
export const targets = {
  // A page with other things to do, and a reply beside them.
  alone: { ...ours, title: "no reply" },
  loop: { ...ours, title: "a bare loop" },
  ours: { ...ours, title: "this package, `incremental`" },
  lines: { ...ours, title: "this package, as lines" },
  resumed: {
    ...ours,
    title: "this package, `readStream`",
    follower: "readStream",
  },
  polled: {
    ...ours,
    title: "this package, long-polls",
    follower: "long-polls",
  },
  dropIn: { ...ours, title: "this package, as a drop-in", follower: "reader" },
  after400ms: { ...ours, title: "`minDelayMs` 400", minDelayMs: 400 },
  after1s: { ...ours, title: "1,000", minDelayMs: 1000 },
  after2s: { ...ours, title: "2,000", minDelayMs: 2000 },
  after5s: { ...ours, title: "5,000", minDelayMs: 5000 },
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
} satisfies Record<string, Target>;

export type TargetName = keyof typeof targets;
