import { spawn } from "node:child_process";
import { once } from "node:events";
import { accessSync, constants } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { chromium, type Browser, type BrowserContext } from "playwright-core";

const ARGUMENTS = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

/** The browser, with no profile but a fresh one of its own, and quiet on the network. */
export function launchBrowser(): Promise<Browser> {
  return chromium.launch({
    executablePath: chromiumPath(),
    args: ARGUMENTS,
  });
}

/**
 * A browser that hides tabs behind other tabs, as in everyday use. Playwright's own
 * keeps every page visible.
 */
export async function launchBrowserWithTabs(): Promise<{
  context: BrowserContext;
  close: () => Promise<void>;
}> {
  const profile = await mkdtemp(join(tmpdir(), "chromium-"));
  const process = spawn(
    chromiumPath(),
    [
      ...ARGUMENTS,
      "--headless",
      "--remote-debugging-port=0",
      `--user-data-dir=${profile}`,
      "about:blank",
    ],
    { stdio: ["ignore", "ignore", "pipe"] },
  );
  const exited = once(process, "exit");
  const close = async () => {
    process.kill();
    await exited;
    await rm(profile, { recursive: true, force: true, maxRetries: 5 });
  };
  try {
    const endpoint = await new Promise<string>((resolve, reject) => {
      let output = "";
      process.stderr.setEncoding("utf8").on("data", (text: string) => {
        output += text;
        const address = /DevTools listening on (\S+)/.exec(output)?.[1];
        if (address !== undefined) resolve(address);
      });
      process.once("exit", () => reject(new Error(output)));
    });
    const browser = await chromium.connectOverCDP(endpoint, {
      noDefaults: true,
    });
    const [context] = browser.contexts();
    if (context === undefined) throw new Error("Chromium opened no window.");
    return { context, close };
  } catch (error) {
    await close();
    throw error;
  }
}

/** `CHROMIUM` from the environment, or the first `chromium` on the PATH. */
function chromiumPath(): string {
  const { CHROMIUM, PATH = "" } = process.env;
  const candidates = CHROMIUM
    ? [CHROMIUM]
    : PATH.split(delimiter).map((folder) => join(folder, "chromium"));
  const found = candidates.find(isExecutable);
  if (found !== undefined) return found;
  throw new Error(
    CHROMIUM
      ? `CHROMIUM is "${CHROMIUM}", which is not a program that can be run.`
      : "The browser tests need Chromium, and there is no `chromium` on the PATH. " +
          "Install it (on Debian or Ubuntu: apt-get install chromium), or set CHROMIUM to the path of a Chromium or Chrome.",
  );
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
