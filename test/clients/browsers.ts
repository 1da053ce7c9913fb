/** Three browsers, as far as the tests need them: tabs that run functions. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import puppeteer, { type LaunchOptions } from "puppeteer-core";
import { chromiumOptions } from "../browser/chromium.js";
import { freePorts } from "../browser/ports.js";

/** Functions, arguments and results are sent as text. */
export interface Tab {
  run<A, R>(work: (argument: A) => R | Promise<R>, argument: A): Promise<R>;
  reload(): Promise<unknown>;
}

interface Browser {
  open: (url: string) => Promise<Tab>;
  close: () => Promise<unknown>;
}

async function launch(options: LaunchOptions): Promise<Browser> {
  const browser = await puppeteer.launch(options);
  return {
    async open(url) {
      // A new context each, because a browser opens only six connections to a host.
      const context = await browser.createBrowserContext();
      const page = await context.newPage();
      page.setDefaultNavigationTimeout(120_000);
      await page.goto(url);
      return {
        run: (work, argument) =>
          page.evaluate(work as never, argument as never),
        reload: () => page.reload(),
      };
    },
    close: () => browser.close(),
  };
}

/** Debian's WebKitGTK in its own small browser. A driver drives one window. */
function webkit(): Promise<Browser> {
  const library = "/usr/lib/x86_64-linux-gnu";
  const folder = readdirSync(library).find((name) =>
    name.startsWith("webkit2gtk-4"),
  );
  const binary = join(library, folder ?? "webkit2gtk", "MiniBrowser");
  const closing: (() => Promise<void>)[] = [];
  async function open(url: string): Promise<Tab> {
    const [port] = await freePorts(1);
    const command = ["-a", "WebKitWebDriver", `--port=${port}`];
    const driver = spawn("xvfb-run", command, {
      stdio: "ignore",
      detached: true,
      env: {
        ...process.env,
        LIBGL_ALWAYS_SOFTWARE: "1",
        // Containers have no user namespace for the sandbox.
        WEBKIT_DISABLE_SANDBOX_THIS_IS_DANGEROUS: "1",
      },
    });
    const exited = once(driver, "exit");
    const call = async (method: string, path: string, body?: object) => {
      const response = await fetch(`http://127.0.0.1:${port}${path}`, {
        method,
        body: body && JSON.stringify(body),
      });
      const { value } = (await response.json()) as { value: unknown };
      if (!response.ok) throw new Error(JSON.stringify(value));
      return value;
    };
    const isUp = () => call("GET", "/status").then(Boolean, () => false);
    while (!(await isUp())) await new Promise((r) => setTimeout(r, 50));
    const options = { binary, args: ["--automation"] };
    const { sessionId } = (await call("POST", "/session", {
      capabilities: { alwaysMatch: { "webkitgtk:browserOptions": options } },
    })) as { sessionId: string };
    const session = `/session/${sessionId}`;
    closing.push(async () => {
      await call("DELETE", session);
      process.kill(-driver.pid!, "SIGKILL");
      await exited;
    });
    await call("POST", `${session}/url`, { url });
    return {
      run: (work, argument) =>
        call("POST", `${session}/execute/async`, {
          script: `const [argument, done] = arguments;
            Promise.resolve((${String(work)})(argument)).then(done);`,
          args: [argument],
        }) as never,
      reload: () => call("POST", `${session}/refresh`, {}),
    };
  }
  const close = () => Promise.all(closing.map((close) => close()));
  return Promise.resolve({ open, close });
}

const launchers = {
  chromium: () => launch(chromiumOptions()),
  firefox: () =>
    launch({ browser: "firefox", executablePath: "/usr/bin/firefox-esr" }),
  webkit,
};
export type BrowserName = keyof typeof launchers;

/** Browsers, each started when it is first needed. */
export class Browsers {
  private readonly running = new Map<BrowserName, Promise<Browser>>();

  async open(name: BrowserName, url: string): Promise<Tab> {
    const browser = this.running.get(name) ?? launchers[name]();
    this.running.set(name, browser);
    return await (await browser).open(url);
  }

  async close(): Promise<void> {
    for (const browser of this.running.values()) {
      await browser.then(({ close }) => close()).catch(() => {});
    }
  }
}
