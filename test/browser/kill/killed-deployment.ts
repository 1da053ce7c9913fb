import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync } from "node:fs";
import { rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import type { DeploymentOptions } from "../../local-deployment/deployment.js";

const program = fileURLToPath(new URL("./killed-process.ts", import.meta.url));

/** A local deployment that is killed and started again with its data. */
export class KilledDeployment {
  url = "";
  siteUrl = "";
  private readonly options: DeploymentOptions;
  private readonly data = mkdtempSync(join(tmpdir(), "killed-deployment-"));
  private child: ChildProcess | null = null;
  private aheadMs = 0;

  constructor(options: DeploymentOptions) {
    this.options = { ...options, data: this.data };
  }

  /** Starts a process: the first time on free ports, later on the same ones. */
  async start(): Promise<void> {
    const args = ["--import", "tsx", program, JSON.stringify(this.options)];
    const child = spawn(process.execPath, args);
    this.child = child;
    let log = "";
    child.stderr.on("data", (text: Buffer) => (log += text.toString()));
    const place = await new Promise<string>((resolve, reject) => {
      createInterface(child.stdout).once("line", resolve);
      child.once("exit", () => reject(new Error(log)));
    });
    Object.assign(this, JSON.parse(place));
    this.options.port = Number(new URL(this.url).port);
    this.options.sitePort = Number(new URL(this.siteUrl).port);
  }

  /** Kills the process without a warning. */
  async kill(): Promise<void> {
    const { child } = this;
    this.child = null;
    if (child?.kill("SIGKILL")) await once(child, "exit");
  }

  async killAndStartAgain(): Promise<void> {
    await this.kill();
    await this.start();
  }

  /** Kills the process and deletes the data. */
  async end(): Promise<void> {
    await this.kill();
    await rm(this.data, { recursive: true, force: true });
  }

  /** Calls one of the deployment's controls, and returns its answer. */
  async control(path: string, body?: object): Promise<unknown> {
    const response = await fetch(
      new URL(`/_local/${path}`, this.url),
      body && { method: "POST", body: JSON.stringify(body) },
    );
    const answer: unknown = await response.json();
    if (!response.ok) throw new Error(JSON.stringify(answer));
    return answer;
  }

  async call<Result>(path: string, args: object = {}): Promise<Result> {
    const answer = await this.control("run", { path, args });
    return (answer as { value: Result }).value;
  }

  /** Sets the clock ahead. What is due by then runs at once, crons included. */
  async later(minutes: number): Promise<void> {
    this.aheadMs += minutes * 60_000;
    await this.control("clock", { aheadMs: this.aheadMs });
  }

  /** The number of running actions. */
  async actions(): Promise<number> {
    return ((await this.control("open")) as { actions: number }).actions;
  }
}
