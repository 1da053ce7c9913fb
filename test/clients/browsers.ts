/** Three browsers, as far as the tests need them: tabs that run functions. */
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { WebSocket } from "ws";
import { launchBrowser } from "../browser/browser.js";

/** Functions and arguments go over to the page as text. */
export interface Tab {
  run<A, R>(work: (argument: A) => R | Promise<R>, argument: A): Promise<R>;
  reload(): Promise<void>;
}

export interface Browser {
  open: (url: string) => Promise<Tab>;
  close: () => Promise<void>;
}

async function chromium(): Promise<Browser> {
  const browser = await launchBrowser();
  return {
    async open(url) {
      // A context of its own: a browser opens only six connections to a host.
      const page = await (await browser.newContext()).newPage();
      await page.goto(url);
      return {
        run: (work, argument) =>
          page.evaluate(work as never, argument) as never,
        reload: async () => void (await page.reload()),
      };
    },
    close: () => browser.close(),
  };
}

/** Starts a program, and waits for a line that names its address. */
async function start(
  command: string,
  args: string[],
  address: RegExp,
): Promise<{ child: ChildProcess; address: string }> {
  const child = spawn(command, args, {
    stdio: ["ignore", "pipe", "pipe"],
    detached: true,
  });
  let output = "";
  const found = new Promise<string>((resolve, reject) => {
    for (const stream of [child.stdout, child.stderr]) {
      stream?.setEncoding("utf8").on("data", (text: string) => {
        output += text;
        const match = address.exec(output);
        if (match) resolve(match[1]!);
      });
    }
    child.once("error", reject);
    child.once("exit", () => reject(new Error(`${command}: ${output}`)));
  });
  return { child, address: await found };
}

async function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null) return;
  const exited = once(child, "exit");
  process.kill(-child.pid!, "SIGKILL");
  await exited;
}

/** Debian's Firefox, over WebDriver BiDi. */
async function firefox(): Promise<Browser> {
  const profile = mkdtempSync(join(tmpdir(), "firefox-"));
  const { child, address } = await start(
    "firefox-esr",
    [
      "--headless",
      "--no-remote",
      "--remote-debugging-port=0",
      "--profile",
      profile,
    ],
    /WebDriver BiDi listening on (\S+)/,
  );
  const socket = new WebSocket(`${address}/session`);
  await once(socket, "open");
  const waiting = new Map<number, (answer: Answer) => void>();
  interface Answer {
    id: number;
    message?: string;
    result?: Record<string, never>;
  }
  socket.on("message", (data: Buffer) => {
    const answer = JSON.parse(String(data)) as Answer;
    waiting.get(answer.id)?.(answer);
    waiting.delete(answer.id);
  });
  let count = 0;
  const command = async (method: string, params: object) => {
    const id = ++count;
    socket.send(JSON.stringify({ id, method, params }));
    const answer = await new Promise<Answer>((take) => waiting.set(id, take));
    if (!answer.result) throw new Error(`${method}: ${answer.message}`);
    return answer.result as Record<string, unknown>;
  };
  await command("session.new", { capabilities: {} });
  return {
    async open(url) {
      const { context } = await command("browsingContext.create", {
        type: "tab",
      });
      await command("browsingContext.navigate", {
        context,
        url,
        wait: "complete",
      });
      return {
        async run(work, argument) {
          const { result, exceptionDetails } = (await command(
            "script.callFunction",
            {
              functionDeclaration: calling(work),
              arguments: [{ type: "string", value: JSON.stringify(argument) }],
              awaitPromise: true,
              target: { context },
            },
          )) as {
            result?: { value: string };
            exceptionDetails?: { text: string };
          };
          if (!result) throw new Error(exceptionDetails?.text);
          return JSON.parse(result.value) as never;
        },
        reload: async () =>
          void (await command("browsingContext.reload", {
            context,
            wait: "complete",
          })),
      };
    },
    async close() {
      socket.terminate();
      await stop(child);
      rmSync(profile, { recursive: true, force: true, maxRetries: 5 });
    },
  };
}

/** Debian's WebKitGTK in its own small browser. A driver drives one window. */
async function webkit(): Promise<Browser> {
  const library = "/usr/lib/x86_64-linux-gnu";
  const folder = readdirSync(library).find((name) =>
    name.startsWith("webkit2gtk-4"),
  );
  const binary = join(library, folder ?? "webkit2gtk", "MiniBrowser");
  const { child: screen, address: display } = await start(
    "Xvfb",
    ["-displayfd", "1", "-screen", "0", "800x600x24", "-nolisten", "tcp"],
    /^(\d+)\n/,
  );
  const closing: (() => Promise<void>)[] = [];
  return {
    async open(url) {
      const port = await freePort();
      const driver = spawn("WebKitWebDriver", [`--port=${port}`], {
        stdio: "ignore",
        detached: true,
        env: {
          ...process.env,
          DISPLAY: `:${display}`,
          LIBGL_ALWAYS_SOFTWARE: "1",
          // Where there is no user namespace for it, as in a container.
          WEBKIT_DISABLE_SANDBOX_THIS_IS_DANGEROUS: "1",
        },
      });
      const command = async (path: string, body?: object, method = "POST") => {
        const response = await fetch(`http://127.0.0.1:${port}${path}`, {
          method,
          body: body && JSON.stringify(body),
        });
        const { value } = (await response.json()) as { value: never };
        if (!response.ok) throw new Error(JSON.stringify(value));
        return value as Record<string, unknown>;
      };
      const isUp = () =>
        command("/status", undefined, "GET").then(Boolean, () => false);
      while (!(await isUp())) await new Promise((r) => setTimeout(r, 50));
      const options = { binary, args: ["--automation"] };
      const { sessionId } = await command("/session", {
        capabilities: {
          alwaysMatch: { "webkitgtk:browserOptions": options },
        },
      });
      const session = `/session/${String(sessionId)}`;
      closing.push(async () => {
        await command(session, undefined, "DELETE");
        await stop(driver);
      });
      await command(`${session}/url`, { url });
      return {
        run: async (work, argument) => {
          const json = await command(`${session}/execute/async`, {
            script: `const [argument, done] = arguments; (${calling(work)})(argument).then(done);`,
            args: [JSON.stringify(argument)],
          });
          return JSON.parse(json as unknown as string) as never;
        },
        reload: async () => void (await command(`${session}/refresh`, {})),
      };
    },
    async close() {
      await Promise.all(closing.map((close) => close()));
      await stop(screen);
    },
  };
}

/** A function that takes and gives JSON. */
const calling = (work: unknown) =>
  `async (json) => JSON.stringify((await (${String(work)})(JSON.parse(json))) ?? null)`;

async function freePort(): Promise<number> {
  const { createServer } = await import("node:net");
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as { port: number };
  server.close();
  return port;
}

const launch = { chromium, firefox, webkit };
export type BrowserName = keyof typeof launch;

/** Browsers that are started when they are first needed. */
export class Browsers {
  private readonly running = new Map<BrowserName, Promise<Browser>>();

  async open(name: BrowserName, url: string): Promise<Tab> {
    let browser = this.running.get(name);
    if (browser === undefined) {
      this.running.set(name, (browser = launch[name]()));
    }
    return await (await browser).open(url);
  }

  async close(): Promise<void> {
    for (const browser of this.running.values()) {
      await browser.then(({ close }) => close()).catch(() => {});
    }
  }
}
