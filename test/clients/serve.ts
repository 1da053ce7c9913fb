import { readFile } from "node:fs/promises";
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { build, type BuildOptions, type Plugin } from "esbuild";
import { compile } from "svelte/compiler";
import { installed } from "./installed.js";

const path = (name: string) => fileURLToPath(new URL(name, import.meta.url));
const BROWSER = "@convex-dev/persistent-text-streaming/browser";

/** Compiles Svelte, and finds `wrapper:vue` and so on in docs/clients.md. */
const frameworks: Plugin = {
  name: "frameworks",
  setup(build) {
    build.onLoad({ filter: /\.svelte$/ }, async ({ path: filename }) => {
      const source = await readFile(filename, "utf8");
      return { contents: compile(source, { filename }).js.code };
    });
    const namespace = "wrapper";
    build.onResolve({ filter: /^wrapper:/ }, ({ path }) => ({
      path: path.replace("wrapper:", ""),
      namespace,
    }));
    build.onLoad({ filter: /./, namespace }, async ({ path: framework }) => {
      const guide = await readFile(path("../../docs/clients.md"), "utf8");
      const contents = [...guide.matchAll(/^```ts\n([^]*?)^```$/gm)]
        .map(([, code = ""]) => code)
        .find((code) => code.includes(`from "${framework}"`));
      return { contents, loader: "ts", resolveDir: path(".") };
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
    format: "esm",
    define: { "process.env.NODE_ENV": '"production"' },
    ...options,
    alias: { [BROWSER]: path("../../src/browser/index.ts"), ...options.alias },
    entryPoints: [path(file)],
    bundle: true,
    write: false,
    jsx: "automatic",
    plugins: [frameworks],
    // Package.json declares no side effects, but pages are nothing but side effects.
    ignoreAnnotations: true,
    logLevel: "error",
  });
  return outputFiles[0]!.text;
}

const react = (mode: string, folder?: string) =>
  bundle("./page/react.tsx", {
    define: { "process.env.NODE_ENV": JSON.stringify(mode) },
    ...(folder && {
      alias: {
        react: join(folder, "node_modules/react"),
        "react-dom": join(folder, "node_modules/react-dom"),
      },
    }),
  });
const react18 = () => installed("react", ["react@18.3.1", "react-dom@18.3.1"]);

/** The script of each page. */
const scripts: Record<string, () => Promise<string>> = {
  react: () => react("production"),
  "react-development": () => react("development"),
  react18: () => react("production", react18()),
  "react18-development": () => react("development", react18()),
  frameworks: () =>
    bundle("./page/frameworks.ts", { conditions: ["svelte", "browser"] }),
  /** It imports the package as it is built, by an import map. */
  modules: () =>
    bundle("./page/modules.ts", {
      alias: { [BROWSER]: "package" },
      external: ["package"],
    }),
};

const IMPORTS = {
  package: "/dist/browser/index.js",
  "convex/values": "/node_modules/convex/dist/esm/values/index.js",
};

/** Serves the clients' pages by name. */
export async function servePages() {
  const bundles = new Map<string, Promise<string>>();
  async function answer(url: string): Promise<[type: string, body: string]> {
    if (/^\/(dist|node_modules)\//.test(url)) {
      return ["text/javascript", await readFile(path(`../..${url}`), "utf8")];
    }
    const [, page = "", isScript] = /^\/([\w-]+)(\.js)?/.exec(url) ?? [];
    if (isScript) {
      const script = bundles.get(page) ?? scripts[page]!();
      bundles.set(page, script);
      return ["text/javascript", await script];
    }
    const html = `<!doctype html><body>
      <script type="importmap">${JSON.stringify({ imports: IMPORTS })}</script>
      <script type="module" src="/${page}.js"></script>`;
    return ["text/html; charset=utf-8", html];
  }
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
