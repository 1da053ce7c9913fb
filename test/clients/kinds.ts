/** The clients that a stream may have. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Page } from "playwright-core";
import type { ReaderProps } from "../support/reader.js";
import { RemoteReader } from "../browser/hook/remote.js";
import type { Desk } from "./client-page.js";
import { Reading } from "./print-reading.js";

/** What a client has, and what it knows of the stream. */
export interface Seen {
  text: string;
  status: string;
  /** What was wrong on the way, in words. */
  stepBack?: string | null;
}

/** A client that reads one stream. */
export interface Client {
  seen(): Promise<Seen>;
  /** What a user does with F5, or with Ctrl-C and the same command again. */
  restart(): Promise<void>;
  close(): Promise<void>;
}

/** Where the stream is, and a page for the clients that live in one. */
export interface Place {
  streamId: string;
  writeUrl: string;
  resumeUrl: string;
  newPage: () => Promise<Page>;
}

export interface Kind {
  name: string;
  /** Whether it starts the writer itself. */
  drives: boolean;
  open(place: Place): Promise<Client>;
}

function hook(
  name: string,
  props: Pick<ReaderProps, "driven" | "incremental">,
): Kind {
  return {
    name,
    drives: props.driven,
    async open({ streamId, writeUrl, newPage }) {
      const page = await newPage();
      const mount = () =>
        RemoteReader.mount(page, { url: writeUrl, streamId, ...props });
      let reader = await mount();
      return {
        seen: () => reader.state(),
        async restart() {
          await page.reload();
          await page.waitForFunction(() => "desk" in window);
          reader = await mount();
        },
        close: () => reader.unmount(),
      };
    },
  };
}

const inNode: Kind = {
  name: "readStream in Node",
  drives: false,
  open({ resumeUrl, streamId }) {
    let reading = new Reading(resumeUrl, streamId);
    return Promise.resolve({
      seen: () => Promise.resolve(reading),
      restart() {
        reading.stop();
        reading = new Reading(resumeUrl, streamId, reading.text);
        return Promise.resolve();
      },
      close: () => Promise.resolve(reading.stop()),
    });
  },
};

const inChromium: Kind = {
  name: "readStream in Chromium",
  drives: false,
  async open({ resumeUrl, streamId, newPage }) {
    const page = await newPage();
    const read = (text: string) =>
      page.evaluate(
        (args) => (window as unknown as { desk: Desk }).desk.read(...args),
        [resumeUrl, streamId, text] as const,
      );
    let index = await read("");
    const seen = () =>
      page.evaluate((index) => {
        const { desk } = window as unknown as { desk: Desk };
        const { text, status } = desk.reading(index);
        return { text, status };
      }, index);
    return {
      seen,
      async restart() {
        const { text } = await seen();
        await page.reload();
        await page.waitForFunction(() => "desk" in window);
        index = await read(text);
      },
      close: () =>
        page.evaluate(
          (index) =>
            (window as unknown as { desk: Desk }).desk.reading(index).stop(),
          index,
        ),
    };
  },
};

const curl: Kind = {
  name: "curl",
  drives: false,
  async open({ resumeUrl, streamId }) {
    const folder = await mkdtemp(join(tmpdir(), "curl-"));
    const file = join(folder, "text");
    const script = fileURLToPath(new URL("./read.sh", import.meta.url));
    const run = () => {
      const child = spawn("sh", [script, resumeUrl, streamId, file], {
        stdio: ["ignore", "pipe", "ignore"],
        // A process group of its own, as a terminal gives to each command.
        detached: true,
      });
      let output = "";
      child.stdout.setEncoding("utf8").on("data", (text: string) => {
        output += text;
      });
      let ended = false;
      const end = once(child, "close").then(() => (ended = true));
      return {
        status: () => (ended ? output.trim() : "streaming"),
        async kill() {
          if (!ended) process.kill(-child.pid!, "SIGKILL");
          await end;
        },
      };
    };
    let running = run();
    const read = (name: string) => readFile(name, "utf8").catch(() => "");
    return {
      async seen() {
        const status = running.status();
        const text = await read(file);
        // What comes now is not a part of the text yet.
        const part = status === "streaming" ? await read(`${file}.part`) : "";
        return { text: text + part, status };
      },
      async restart() {
        await running.kill();
        running = run();
      },
      async close() {
        await running.kill();
        await rm(folder, { recursive: true });
      },
    };
  },
};

export const kinds: readonly Kind[] = [
  hook("the hook, driven", { driven: true, incremental: true }),
  hook("the hook, followed", { driven: false, incremental: false }),
  hook("the hook, followed, incremental", { driven: false, incremental: true }),
  inNode,
  inChromium,
  curl,
];
