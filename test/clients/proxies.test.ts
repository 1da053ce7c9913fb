/** `readStream` behind proxies that hold responses back by default, and behind Convex's own limit. */
import compression from "compression";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createServer } from "vite";
import { describe, expect, inject, onTestFinished, test, vi } from "vitest";
import { ConvexHttpClient } from "convex/browser";
import { readStream } from "../../src/browser/index.js";
import { freePorts, isListening } from "../browser/ports.js";
import { chat } from "../support/reader.js";
import { story } from "../support/story.js";

const [{ url, siteUrl }] = inject("deployments");
const client = new ConvexHttpClient(url, { logger: false });
const create = () => client.mutation(chat.create, {});

const SENTENCES = 60;
const FIRST_TEXT_MS = 5000;

/** Debian's nginx as a proxy. Returns its URL. */
const nginx = (settings: string) => async (): Promise<string> => {
  const folder = mkdtempSync(join(tmpdir(), "nginx-"));
  const [port] = await freePorts(1);
  const temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map(
    (name) => `${name}_temp_path ${folder}/${name};`,
  );
  writeFileSync(
    join(folder, "nginx.conf"),
    `daemon off; pid ${folder}/pid; error_log stderr;
    events {}
    http {
      access_log off; ${temporary.join(" ")}
      server { listen 127.0.0.1:${port}; location / { proxy_pass ${siteUrl}; ${settings} } }
    }`,
  );
  const options = ["-p", folder, "-c", join(folder, "nginx.conf")];
  const child = spawn("/usr/sbin/nginx", options, { stdio: "ignore" });
  onTestFinished(async () => {
    child.kill();
    await once(child, "exit");
    rmSync(folder, { recursive: true });
  });
  await vi.waitUntil(() => isListening(port!), 10_000);
  return `http://127.0.0.1:${port}`;
};

/** Express's `compression` in front of Vite's proxy. */
const compressing = async (): Promise<string> => {
  const compress = compression({ threshold: 0 }) as never;
  const vite = await createServer({
    configFile: false,
    root: tmpdir(),
    logLevel: "error",
    optimizeDeps: { noDiscovery: true },
    server: { port: 0, ws: false, watch: null, proxy: { "/": siteUrl } },
    plugins: [
      {
        name: "compression",
        configureServer: ({ middlewares }) => void middlewares.use(compress),
      },
    ],
  });
  await vite.listen();
  onTestFinished(() => vite.close());
  return vite.resolvedUrls!.local[0]!.replace(/\/$/, "");
};

describe.each([
  ["nginx", nginx(""), "in pieces"],
  [
    "nginx that ignores what a response says of buffers",
    nginx("proxy_ignore_headers X-Accel-Buffering;"),
    "by long-polls",
  ],
  ["Express's compression", compressing, "in pieces"],
] as const)("behind %s", (_, proxy, comes) => {
  test.each([true, false])(
    `a reply comes ${comes}, soon and whole (drives: %s)`,
    async (drive) => {
      const warned = vi.spyOn(console, "warn").mockImplementation(() => {});
      onTestFinished(() => warned.mockRestore());
      const base = await proxy();
      const streamId = await create();
      const path = `/write?sentences=${SENTENCES}&delay=20`;
      if (!drive) {
        const body = JSON.stringify({ streamId });
        void fetch(siteUrl + path, { method: "POST", body })
          .then((response) => response.text())
          .catch(() => {});
      }
      const startedAt = Date.now();
      let firstAfter = Infinity;
      let all = "";
      const text = readStream(base + path, { streamId, drive });
      for await (const piece of text) {
        firstAfter = Math.min(firstAfter, Date.now() - startedAt);
        all += piece;
      }
      expect(all).toBe(story(SENTENCES));
      expect(text.status).toBe("done");
      expect(firstAfter).toBeLessThan(FIRST_TEXT_MS);
      // It did not arrive all at once.
      expect(Date.now() - startedAt).toBeGreaterThan(2 * firstAfter);
      expect(warned).toHaveBeenCalledTimes(comes === "in pieces" ? 0 : 1);
    },
  );
});

test("a reply of more than 20 MiB, where Convex stops sending, is read whole", async () => {
  const whole = story(700_000);
  const streamId = await create();
  const drive = `${siteUrl}/write?sentences=700000&size=100000`;
  let all = "";
  const text = readStream(`${siteUrl}/write`, { streamId, drive });
  for await (const piece of text) all += piece;
  // Compared here, because `expect` would print it.
  expect(all === whole).toBe(true);
  expect(Buffer.byteLength(whole)).toBeGreaterThan(20 * 1024 * 1024);
  expect(text.status).toBe("done");
});
