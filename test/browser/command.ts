import { spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("../..", import.meta.url));

/** A command of the project, run as a user runs it in a terminal. */
export class Command {
  /** Everything it has printed so far. */
  output = "";
  readonly exited: Promise<number | null>;
  private readonly child;

  constructor(command: string, args: string[], env: NodeJS.ProcessEnv = {}) {
    this.child = spawn(command, args, {
      cwd: root,
      env: { ...process.env, ...env },
      stdio: ["ignore", "pipe", "pipe"],
      // In its own process group, as in a terminal.
      detached: true,
    });
    for (const stream of [this.child.stdout, this.child.stderr]) {
      stream.setEncoding("utf8");
      stream.on("data", (text: string) => (this.output += text));
    }
    this.exited = once(this.child, "close").then(
      ([code]) => code as number | null,
    );
  }

  /** What a terminal does on Ctrl-C: the signal goes to the whole group. */
  interrupt(): void {
    this.signal("SIGINT");
  }

  /** For a test that has failed. */
  async kill(): Promise<void> {
    this.signal("SIGKILL");
    await this.exited;
  }

  private signal(signal: NodeJS.Signals): void {
    if (this.child.pid === undefined) return;
    try {
      process.kill(-this.child.pid, signal);
    } catch (error) {
      // It has ended already.
      if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
    }
  }
}

/** Without a key from the environment, so that the demo uses its fake model. */
export const withoutKey = {
  OPENAI_API_KEY: "",
  OPENAI_BASE_URL: "",
  OPENAI_MODEL: "",
};
