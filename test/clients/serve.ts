import { readFile } from "node:fs/promises";
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { build, transform, type BuildOptions, type Plugin } from "esbuild";
import { compile } from "svelte/compiler";
import { installed } from "./installed.js";

const path = (name: string) => fileURLToPath(new URL(name, import.meta.url));

const svelte: Plugin = {
  name: "Svelte's compiler",
  setup(build) {
    build.onLoad({ filter: /\.svelte$/ }, async ({ path: filename }) => {
      const source = await readFile(filename, "utf8");
      return { contents: compile(source, { filename }).js.code };
    });
  },
};

/** A module and its imports as one script. */
export async function bundle(
  file: string,
  options: BuildOptions,
): Promise<string> {
  const { outputFiles } = await build({
    target: "es2022",
    define: { "process.env.NODE_ENV": '"production"' },
    ...options,
    entryPoints: [path(file)],
    bundle: true,
    write: false,
    jsx: "automatic",
    plugins: [svelte],
    // Package.json declares no side effects, but pages are nothing but side effects.
    ignoreAnnotations: true,
    logLevel: "error",
  });
  return outputFiles[0]!.text;
}

/** The script of a page: React 18 or 19 in production or development, or the frameworks. */
async function scriptOf(page: string): Promise<string> {
  if (page === "frameworks") {
    return await bundle("./page/frameworks.ts", {
      format: "esm",
      conditions: ["svelte", "browser"],
      alias: {
        "@convex-dev/persistent-text-streaming/browser": path(
          "../../src/browser/index.ts",
        ),
      },
    });
  }
  const alias: Record<string, string> = {};
  if (page.startsWith("react18")) {
    const packages = ["react@18.3.1", "react-dom@18.3.1"];
    const modules = join(installed("react", packages), "node_modules");
    for (const name of ["react", "react-dom"])
      alias[name] = join(modules, name);
  }
  const mode = page.endsWith("development") ? "development" : "production";
  return await bundle("./page/react.tsx", {
    format: "esm",
    alias,
    define: { "process.env.NODE_ENV": JSON.stringify(mode) },
  });
}

/** A page without a bundler: its files are only compiled from TypeScript. */
const IMPORTS = {
  "/src/": "/dist/",
  "convex/values": "/node_modules/convex/dist/esm/values/index.js",
};
const MODULES = `<script type="importmap">${JSON.stringify({ imports: IMPORTS })}</script>
  <script type="module" src="/test/clients/page/modules.js"></script>`;

/** Serves the clients' pages by name. */
export async function servePages() {
  const scripts = new Map<string, Promise<string>>();
  const answer = async (url: string): Promise<[string, string]> => {
    const [, page, module] = /^\/(\w[\w-]*)(\.js)?(\?|$)/.exec(url) ?? [];
    if (page !== undefined && module !== undefined) {
      const script = scripts.get(page) ?? scriptOf(page);
      scripts.set(page, script);
      return ["text/javascript", await script];
    }
    if (page !== undefined) {
      const script = `<script type="module" src="/${page}.js"></script>`;
      const body = page === "modules" ? MODULES : script;
      return ["text/html; charset=utf-8", `<!doctype html><body>${body}`];
    }
    const file = path(`../..${url}`);
    if (/^\/(dist|node_modules)\//.test(url)) {
      return ["text/javascript", await readFile(file, "utf8")];
    }
    const source = await readFile(file.replace(/js$/, "ts"), "utf8");
    const { code } = await transform(source, { loader: "ts" });
    return ["text/javascript", code];
  };
  const server = createServer((request, response) => {
    answer(request.url ?? "/").then(
      ([type, body]) => {
        response.setHeader("Content-Type", type);
        response.end(body);
      },
      (error: unknown) => response.writeHead(404).end(String(error)),
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
