import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const path = (name: string) => fileURLToPath(new URL(name, import.meta.url));

/** A module and all that it imports, as one script. */
export async function bundle(
  file: string,
  options: { format: "esm" | "iife"; globalName?: string },
): Promise<string> {
  const { outputFiles } = await build({
    ...options,
    entryPoints: [path(file)],
    bundle: true,
    write: false,
    target: "es2022",
    jsx: "automatic",
    define: { "process.env.NODE_ENV": '"production"' },
    // The package says that its modules have no side effects; pages are nothing else.
    ignoreAnnotations: true,
    logLevel: "error",
  });
  return outputFiles[0]!.text;
}

/** Serves the page of the clients. */
export async function servePage() {
  const script = await bundle("./client-page.tsx", { format: "esm" });
  const server = createServer((request, response) => {
    const isScript = request.url === "/page.js";
    response.setHeader(
      "Content-Type",
      isScript ? "text/javascript" : "text/html; charset=utf-8",
    );
    response.end(
      isScript
        ? script
        : '<!doctype html><body><script type="module" src="/page.js"></script>',
    );
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}/`,
    async close() {
      server.closeAllConnections();
      server.close();
      await once(server, "close");
    },
  };
}
