import { accessSync, constants } from "node:fs";
import { delimiter, join } from "node:path";
import { chromium, type Browser } from "playwright-core";

/** The browser, with no profile but a fresh one of its own, and quiet on the network. */
export function launchBrowser(): Promise<Browser> {
  return chromium.launch({
    executablePath: chromiumPath(),
    args: [
      "--no-sandbox",
      "--disable-gpu",
      "--disable-quic",
      "--no-first-run",
      "--disable-background-networking",
      "--disable-component-update",
      "--disable-sync",
    ],
  });
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
