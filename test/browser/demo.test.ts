/** `npm run demo`, as run in a fresh clone. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { expect, onTestFinished, test } from "vitest";
import { launchBrowser } from "./chromium.js";
import { Chat } from "./chatPage.js";
import { freePorts, holdPort, isListening } from "./ports.js";

const OPTIONS = ["--port", "--convex-port", "--site-port", "--model-port"];

/** The demo on these ports, in the order of the options. */
function runDemo(ports: number[], program: string, ...before: string[]) {
  const options = OPTIONS.flatMap((option, i) => [option, String(ports[i])]);
  const child = spawn(program, [...before, ...options], {
    cwd: fileURLToPath(new URL("../..", import.meta.url)),
    // Without a key, the demo uses its fake model.
    env: { ...process.env, OPENAI_API_KEY: "", OPENAI_BASE_URL: "" },
    // In its own process group, as in a terminal.
    detached: true,
  });
  const demo = {
    output: "",
    exited: once(child, "close") as Promise<[code: number | null]>,
    /** Sends a signal to the whole group, as a terminal does on Ctrl-C. */
    signal: (signal: NodeJS.Signals) => process.kill(-child.pid!, signal),
  };
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding("utf8").on("data", (text) => (demo.output += text));
  }
  onTestFinished(async () => {
    if (child.exitCode === null && child.signalCode === null) {
      demo.signal("SIGKILL");
    }
    await demo.exited;
  });
  return demo;
}

test("the demo streams a reply; Ctrl-C stops everything", async () => {
  const ports = await freePorts(OPTIONS.length);
  const demo = runDemo(ports, "npm", "run", "demo", "--");
  const url = `http://localhost:${ports[0]}`;
  await expect
    .poll(() => demo.output, { timeout: 90_000 })
    .toContain("The demo is running");
  expect(demo.output).toContain(url);

  const browser = await launchBrowser();
  onTestFinished(() => browser.close());
  const page = await browser.newPage();
  // The first load takes longer, because Vite prepares everything.
  page.setDefaultTimeout(60_000);
  const chat = await Chat.open(page, url);
  await chat.send("Why does the sea rise twice a day?");
  await chat.grows();
  await chat.becomes("done");
  expect(await chat.text()).toMatch(/tide/i);

  demo.signal("SIGINT");
  await demo.exited;
  for (const port of ports) expect(await isListening(port)).toBe(false);
});

test("a port in use: the message names it and the option that changes it", async () => {
  await Promise.all(
    OPTIONS.map(async (option) => {
      const taken = await holdPort();
      const ports = await freePorts(OPTIONS.length);
      ports[OPTIONS.indexOf(option)] = taken.port;
      // Without npm, which would run four builds at once.
      const script = "test/local-deployment/demo.ts";
      const demo = runDemo(ports, "npx", "tsx", script);
      const [code] = await demo.exited;
      expect(code).toBe(1);
      expect(demo.output).toContain(`Port ${taken.port}`);
      expect(demo.output).toMatch(new RegExp(`in use.* ${option} \\d+`));
      // A user's mistake gets no stack trace.
      expect(demo.output).not.toMatch(/^\s+at /m);
      await taken.release();
    }),
  );
});
