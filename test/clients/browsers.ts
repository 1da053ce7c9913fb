/** Three browsers, as far as the tests need them: tabs that run functions. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import puppeteer from "puppeteer-core";
import { launchBrowser } from "../browser/chromium.js";
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

interface Page {
  goto(url: string): Promise<unknown>;
  evaluate(work: never, argument: never): Promise<unknown>;
  reload(): Promise<unknown>;
}

async function tabAt(url: string, page: Page): Promise<Tab> {
  await page.goto(url);
  return {
    run: (work, argument) =>
      page.evaluate(work as never, argument as never) as never,
    reload: () => page.reload(),
  };
}

async function chromium(): Promise<Browser> {
  const browser = await launchBrowser();
  return {
    open: async (url) =>
      // A new context each, because a browser opens only six connections to a host.
      tabAt(url, await (await browser.newContext()).newPage()),
    close: () => browser.close(),
  };
}

/** Debian's Firefox. (Playwright drives only its own build.) */
async function firefox(): Promise<Browser> {
  const browser = await puppeteer.launch({
    browser: "firefox",
    executablePath: "/usr/bin/firefox-esr",
  });
  return {
    async open(url) {
      const page = await browser.newPage();
      page.setDefaultNavigationTimeout(120_000);
      return tabAt(url, page);
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
    const call = async (path: string, body?: object, method = "POST") => {
      const response = await fetch(`http://127.0.0.1:${port}${path}`, {
        method,
        body: body && JSON.stringify(body),
      });
      const { value } = (await response.json()) as { value: never };
      if (!response.ok) throw new Error(JSON.stringify(value));
      return value as Record<string, unknown>;
    };
    const isUp = () =>
      call("/status", undefined, "GET").then(Boolean, () => false);
    while (!(await isUp())) await new Promise((r) => setTimeout(r, 50));
    const options = { binary, args: ["--automation"] };
    const { sessionId } = await call("/session", {
      capabilities: { alwaysMatch: { "webkitgtk:browserOptions": options } },
    });
    const session = `/session/${String(sessionId)}`;
    closing.push(async () => {
      await call(session, undefined, "DELETE");
      process.kill(-driver.pid!, "SIGKILL");
      await exited;
    });
    return tabAt(url, {
      goto: (url) => call(`${session}/url`, { url }),
      reload: () => call(`${session}/refresh`, {}),
      evaluate: async (work, argument) => {
        const json = await call(`${session}/execute/async`, {
          script: `const [json, done] = arguments;
            Promise.resolve((${String(work)})(JSON.parse(json)))
              .then((result) => done(JSON.stringify(result ?? null)));`,
          args: [JSON.stringify(argument)],
        });
        return JSON.parse(json as unknown as string) as unknown;
      },
    });
  }
  const close = () => Promise.all(closing.map((close) => close()));
  return Promise.resolve({ open, close });
}

const launch = { chromium, firefox, webkit };
export type BrowserName = keyof typeof launch;

/** Browsers, each started when it is first needed. */
export class Browsers {
  private readonly running = new Map<BrowserName, Promise<Browser>>();

  async open(name: BrowserName, url: string): Promise<Tab> {
    const browser = this.running.get(name) ?? launch[name]();
    this.running.set(name, browser);
    return await (await browser).open(url);
  }

  async close(): Promise<void> {
    for (const browser of this.running.values()) {
      await browser.then(({ close }) => close()).catch(() => {});
    }
  }
}
