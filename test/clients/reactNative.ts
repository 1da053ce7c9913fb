/**
 * React Native's own JavaScript, compiled with its Babel preset, over native modules made
 * of Node's `fetch`: requests, blobs and files.
 */
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import vm from "node:vm";
import { transformAsync } from "@babel/core";
import { build, type Plugin } from "esbuild";
import { WebSocket } from "ws";
import { installed, unpacked } from "./installed.js";
import type * as app from "./native-app.js";

/** What Metro's preset and React Native's own modules import. */
const PACKAGES = [
  "@babel/core@7",
  "@babel/runtime@7",
  "@react-native/babel-preset@0.83",
  "abort-controller@3",
  "base64-js@1",
  "event-target-shim@5",
  "invariant@2",
  "nullthrows@1",
  "promise@8",
  "react-test-renderer@19.3",
  "whatwg-fetch@3",
];

/** Native modules take and return plain values, and report with events. */
type Emit = (event: string, argument: unknown) => void;

interface NativeRequest {
  method: string;
  url: string;
  data?: { string?: string };
  headers: Record<string, string>;
  responseType: "text" | "blob" | "base64";
  incrementalUpdates: boolean;
}

function nativeModules(emit: Emit): Record<string, unknown> {
  const requests = new Map<number, AbortController>();
  const blobs = new Map<string, Buffer>();
  const listening = { addListener() {}, removeListeners() {} };
  let count = 0;

  async function send(request: NativeRequest, callback: (id: number) => void) {
    const id = ++count;
    callback(id);
    const { method, url, headers, data, responseType } = request;
    const aborting = new AbortController();
    requests.set(id, aborting);
    try {
      const { signal } = aborting;
      const init = { method, headers, body: data?.string || null, signal };
      const response = await fetch(url, init);
      const head = Object.fromEntries(response.headers);
      emit("didReceiveNetworkResponse", [id, response.status, head, url]);
      const body = Buffer.from(await response.arrayBuffer());
      const blob = { blobId: `blob${id}`, offset: 0, size: body.length };
      if (responseType === "blob") blobs.set(blob.blobId, body);
      const text = body.toString(responseType === "text" ? "utf8" : "base64");
      const received = responseType === "blob" ? blob : text;
      emit("didReceiveNetworkData", [id, received]);
      emit("didCompleteNetworkResponse", [id, null, false]);
    } catch (error) {
      const { message } = error as Error;
      emit("didCompleteNetworkResponse", [id, message, false]);
    }
  }

  return {
    PlatformConstants: { getConstants: () => ({}) },
    Networking: {
      ...listening,
      sendRequest: send,
      abortRequest: (id: number) => requests.get(id)?.abort(),
    },
    BlobModule: {
      ...listening,
      getConstants: () => ({ BLOB_URI_SCHEME: "blob", BLOB_URI_HOST: null }),
      addNetworkingHandler() {},
      createFromParts() {},
      release: (id: string) => blobs.delete(id),
    },
    FileReaderModule: {
      readAsText: ({ blobId }: { blobId: string }) =>
        Promise.resolve(
          // Like Foundation's and Java's decoders, this keeps a byte order mark.
          blobs.get(blobId)?.toString("utf8"),
        ),
    },
  };
}

/** Removes symbols that Hermes lacks, or lacked until recently. */
const HERMES = `{
  const All = Symbol;
  globalThis.Symbol = (description) => All(description);
  for (const name of Object.getOwnPropertyNames(All)) {
    if (/^(name|length|asyncIterator)$/.test(name)) continue;
    Object.defineProperty(Symbol, name, { value: All[name] });
  }
}`;

export type NativeApp = typeof app & {
  readonly warnings: string[];
  readonly expoFetch: (url: string, init: RequestInit) => Promise<Response>;
};

/** Like `expo/fetch`: the body is a stream, and the native side ignores signals. */
const expoFetch: NativeApp["expoFetch"] = async (url, init) => {
  const controller = new AbortController();
  init.signal?.addEventListener("abort", () => controller.abort());
  const { signal } = controller;
  const headers = Object.fromEntries(init.headers as Headers);
  return await fetch(url, { ...init, headers, signal });
};

/** An app on one version of React Native, with or without Expo's additions. */
export async function startReactNative(
  version: string,
  withExpo: boolean,
): Promise<NativeApp> {
  const bundled = bundles.get(version) ?? bundle(version);
  bundles.set(version, bundled);
  const code = await bundled;

  const warnings: string[] = [];
  const note = (...words: unknown[]) => void warnings.push(words.join(" "));
  const context = vm.createContext({
    console: { ...console, warn: note, error: note },
    performance: { now: () => performance.now() },
    ...{ setTimeout, clearTimeout, setInterval, clearInterval },
    ...{ setImmediate, clearImmediate },
    ...(withExpo && { TextDecoder, ReadableStream }),
  });
  vm.runInContext(HERMES, context);
  let emitter: { emit: Emit } | null = null;
  const natives = nativeModules((event, argument) => {
    // Arrives later, like a message from another thread.
    setImmediate(() => emitter?.emit(event, argument));
  });
  Object.assign(context, {
    global: context,
    window: context,
    nativeModuleProxy: {},
    __turboModuleProxy: (name: string) => natives[name] ?? null,
  });
  vm.runInContext(code, context, { filename: `react-native-${version}.js` });
  // Its own needs one more native module, and Convex's client does not tell them apart.
  Object.assign(context, { WebSocket });
  const started = context as { app?: { emitter: typeof emitter } & typeof app };
  emitter = started.app!.emitter;
  const it = Object.create(started.app!) as typeof app;
  return Object.assign(it, { warnings, expoFetch });
}

const bundles = new Map<string, Promise<string>>();

async function bundle(version: string): Promise<string> {
  const modules = join(installed("react-native", PACKAGES), "node_modules");
  const reactNative = unpacked(`react-native@${version}`, ["Libraries", "src"]);
  const require = createRequire(join(modules, "_.js"));
  const compile: Plugin = {
    name: "Metro's Babel",
    setup(build) {
      build.onResolve({ filter: /^\$native\// }, ({ path }) => ({
        path: require.resolve(join(reactNative, path.slice("$native/".length))),
      }));
      build.onLoad({ filter: /\.[jt]sx?$/ }, async ({ path }) => {
        // Other packages are published compiled.
        const isPackage = path.includes("/node_modules/");
        if (isPackage && !path.startsWith(reactNative)) return null;
        const source = await readFile(path, "utf8");
        const compiled = await transformAsync(source, {
          filename: path,
          babelrc: false,
          configFile: false,
          presets: [
            [
              require.resolve("@react-native/babel-preset"),
              // React Native's own files mix both kinds of modules.
              {
                enableBabelRuntime: false,
                disableImportExportTransform: !path.startsWith(reactNative),
              },
            ],
          ],
        });
        return { contents: compiled?.code ?? "", loader: "js" };
      });
    },
  };
  const { outputFiles } = await build({
    stdin: {
      contents: `
        require("$native/Libraries/Core/setUpXHR");
        const emitter = require("$native/Libraries/EventEmitter/RCTDeviceEventEmitter").default;
        globalThis.app = { ...require("./native-app.js"), emitter };
      `,
      resolveDir: fileURLToPath(new URL(".", import.meta.url)),
    },
    bundle: true,
    write: false,
    format: "iife",
    target: "es2020",
    conditions: ["react-native"],
    mainFields: ["react-native", "browser", "main"],
    resolveExtensions: [".ios.js", ".native.js", ".js", ".tsx", ".ts", ".json"],
    nodePaths: [modules],
    alias: {
      "@convex-dev/persistent-text-streaming/browser": fileURLToPath(
        new URL("../../src/browser/index.ts", import.meta.url),
      ),
    },
    define: { "process.env.NODE_ENV": '"production"', __DEV__: "false" },
    plugins: [compile],
    logLevel: "error",
  });
  return outputFiles[0]!.text;
}
