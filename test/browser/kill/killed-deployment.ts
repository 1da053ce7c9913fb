import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import type { JSONValue } from "convex/values";
import type { DeploymentOptions } from "../../local-deployment/deployment.js";

const program = fileURLToPath(new URL("./killed-process.ts", import.meta.url));

const MINUTE = 60_000;

/** A local deployment that is killed and started again with its data. */
export class KilledDeployment {
  url = "";
  siteUrl = "";
  /** What the processes have logged. */
  log = "";
  private child: ChildProcess | undefined;
  private aheadMs = 0;

  private constructor(
    private readonly options: DeploymentOptions,
    private readonly data: string,
  ) {}

  static async start(options: DeploymentOptions): Promise<KilledDeployment> {
    const data = await mkdtemp(join(tmpdir(), "killed-deployment-"));
    const deployment = new KilledDeployment(options, data);
    await deployment.again();
    return deployment;
  }

  /** Kills the process without a warning. */
  async kill(): Promise<void> {
    const { child } = this;
    if (child === undefined) return;
    this.child = undefined;
    child.kill("SIGKILL");
    if (child.exitCode === null && child.signalCode === null) {
      await once(child, "exit");
    }
  }

  /** Starts a new process on the same ports, with the same data. */
  async again(): Promise<void> {
    const port = (url: string) => Number(new URL(url || "http://a:0").port);
    const options: DeploymentOptions = {
      ...this.options,
      data: this.data,
      port: port(this.url),
      sitePort: port(this.siteUrl),
    };
    const child = spawn(
      process.execPath,
      ["--import", "tsx", program, JSON.stringify(options)],
      { stdio: ["pipe", "pipe", "pipe"] },
    );
    this.child = child;
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      this.log += text;
    });
    const place = await new Promise<string>((resolve, reject) => {
      createInterface(child.stdout).once("line", resolve);
      child.once("exit", () => reject(new Error(this.log)));
    });
    Object.assign(this, JSON.parse(place));
  }

  async killAndStartAgain(): Promise<void> {
    await this.kill();
    await this.again();
  }

  /** Kills the process and deletes the data. */
  async end(): Promise<void> {
    await this.kill();
    await rm(this.data, { recursive: true, force: true });
  }

  async control(path: string, body: object = {}): Promise<unknown> {
    const response = await fetch(new URL(`/_local/${path}`, this.url), {
      method: "POST",
      body: JSON.stringify(body),
    });
    const answer = (await response.json()) as object;
    if (!response.ok) throw new Error(JSON.stringify(answer));
    return answer;
  }

  async call<Result>(path: string, args: object = {}): Promise<Result> {
    const { value } = (await this.control("run", { path, args })) as {
      value: Result;
    };
    return value;
  }

  /** Sets the clock ahead. What is due by then runs at once, crons included. */
  async later(minutes: number): Promise<void> {
    this.aheadMs += minutes * MINUTE;
    await this.control("clock", { aheadMs: this.aheadMs });
  }

  /** The number of running actions. */
  async actions(): Promise<number> {
    const response = await fetch(new URL("/_local/open", this.url));
    return ((await response.json()) as { actions: number }).actions;
  }

  documents(table: string): Promise<Record<string, JSONValue>[]> {
    return savedDocuments(this.data, table);
  }
}

/** The documents in a component's table, as a process started now would find them. */
export async function savedDocuments(
  data: string,
  table: string,
): Promise<Record<string, JSONValue>[]> {
  const journal = await readFile(join(data, "journal.jsonl"), "utf8");
  const documents = new Map<string, Record<string, JSONValue> | null>();
  for (const line of journal.split("\n").slice(0, -1)) {
    const { writes } = JSON.parse(line) as {
      writes: { id: string; doc: Record<string, JSONValue> | null }[];
    };
    for (const { id, doc } of writes) {
      if (id.endsWith(table)) documents.set(id, doc);
    }
  }
  return [...documents.values()].filter((doc) => doc !== null);
}
