/*
 * A host for actions in Convex's default runtime: a bare context with what
 * `globals.ts` puts into it, and the rules by which an action ends:
 *
 * - A rejection that nobody handles ends it at once.
 * - So does a head that cannot be sent, because the client has gone.
 * - It ends with the body of its response.
 *
 * What an action that has ended still asks for is not answered.
 */
import type { FunctionArgs } from "convex/server";
import { build } from "esbuild";
import { createContext, Script } from "node:vm";
import { fileURLToPath } from "node:url";
import { setUp } from "../support/setup.js";
import { Invocation } from "../local-deployment/invocation.js";
import type * as App from "./app.js";
import type { Host } from "./globals.js";

/** The runtime's clock is so much faster than the machine's. */
export const SPEED = Number(process.env.RUNTIME_SPEED ?? 10);

/** How long (ms) a query or mutation takes to get there, and its answer to get back. */
const TRAVEL_MS = 15;
const travel = () =>
  new Promise((resolve) => setTimeout(resolve, TRAVEL_MS / SPEED));

/** The package's client, to run another version of it under the same tests. */
const CLIENT =
  process.env.RUNTIME_CLIENT ??
  fileURLToPath(new URL("../../src/client/index.ts", import.meta.url));

const bundle = async (file: string, globalName: string) => {
  const { outputFiles } = await build({
    entryPoints: [fileURLToPath(new URL(file, import.meta.url))],
    bundle: true,
    write: false,
    format: "iife",
    globalName,
    target: "esnext",
    // As the CLI bundles an app's functions.
    platform: "browser",
    conditions: ["convex", "module"],
    define: { "process.env.NODE_ENV": '"production"' },
    alias: { "@convex-dev/persistent-text-streaming": CLIENT },
    logLevel: "error",
  });
  return new Script(outputFiles[0]?.text ?? "", { filename: file });
};

export type Backend = ReturnType<typeof setUp>;

/** A client that reads a response, and may leave. */
class Client {
  text = "";
  status: number | null = null;
  isGone = false;
  private readonly decoder = new TextDecoder();
  private leaves!: () => void;
  readonly left = new Promise<void>((resolve) => (this.leaves = resolve));

  leave(): void {
    this.isGone = true;
    this.leaves();
  }

  receive(bytes: Uint8Array): void {
    this.text += this.decoder.decode(bytes, { stream: true });
  }
}

export class Runtime {
  static async load(): Promise<Runtime> {
    return new Runtime(await bundle("./app.ts", "app"));
  }

  private constructor(private readonly script: Script) {}

  /** An action: it runs code of the app until it ends, in one way or another. */
  start(
    backend: Backend,
    run: (app: typeof App) => Promise<void> | void,
  ): Action {
    return new Action(this.script, backend, run);
  }
}

export class Action {
  readonly client = new Client();
  /** Resolves when the action has ended, to what ended it, if that was not its own doing. */
  readonly ended: Promise<string | null>;
  /** Mutations fail while this is set. */
  refuseMutations = false;
  /** How many have failed. */
  refused = 0;
  /** Called before each mutation. */
  onMutation = () => {};
  /** How much text a background writer has appended (UTF-16 code units). */
  appended = 0;
  private readonly invocation = new Invocation("http", "action", null);
  private readonly streams = new Map<
    number,
    (value: Uint8Array | null) => void
  >();
  private readonly readers = new Map<
    number,
    ReadableStreamDefaultReader<Uint8Array>
  >();
  private readonly hangUp = new AbortController();
  private bodyEnded!: () => void;
  private ids = 0;

  constructor(
    script: Script,
    private readonly backend: Backend,
    run: (app: typeof App) => Promise<void> | void,
  ) {
    const { invocation } = this;
    const body = new Promise<void>((resolve) => (this.bodyEnded = resolve));
    const work = invocation.run(async () => {
      const context = createContext({ host: this.host() });
      script.runInContext(context);
      await run(context.app as typeof App);
      // The end of a response is the end of its body.
      if (this.client.status !== null) await body;
      // Node tells of unhandled rejections after the microtasks.
      await new Promise((resolve) => setImmediate(resolve));
    });
    this.ended = Promise.race([work, invocation.failed])
      .then(() => null, String)
      .finally(() => {
        invocation.finish();
        this.hangUp.abort();
      });
  }

  private host(): Host {
    const began = Date.now();
    return {
      globals,
      now: () => began + (Date.now() - began) * SPEED,
      start: (name, args, resolve, reject) => {
        if (this.invocation.over) return;
        this.operation(name, args as never).then(
          (result) => {
            if (!this.invocation.over) resolve(result as never);
          },
          (error: unknown) => {
            if (!this.invocation.over) reject(String(error));
          },
        );
      },
    };
  }

  private async operation(name: string, args: never): Promise<unknown> {
    switch (name) {
      case "sleep":
        return new Promise((resolve) => setTimeout(resolve, args / SPEED));
      case "gone":
        return this.client.left;
      case "head":
        if (this.client.isGone) {
          this.invocation.fail("The response's head could not be sent.");
        }
        this.client.status = args;
        return this.stream((bytes) => {
          if (bytes === null) this.bodyEnded();
          else this.client.receive(bytes);
        });
      case "appended":
        this.appended = args;
        return;
      case "hang":
        // What stands still is ended by the host, after a while.
        this.invocation.fail("The function took too long.");
        return;
      case "stream":
        return this.stream(() => {});
      case "extend": {
        const { id, value, done } = args as {
          id: number;
          value?: Uint8Array;
          done: boolean;
        };
        this.streams.get(id)?.(done ? null : (value ?? new Uint8Array()));
        return;
      }
      case "fetch":
        return this.fetch(args);
      case "part": {
        const read = await this.readers.get(args)?.read();
        return read === undefined || read.done ? null : read.value;
      }
      default:
        return this.call(name, args);
    }
  }

  private stream(onPart: (value: Uint8Array | null) => void): number {
    this.streams.set(++this.ids, onPart);
    return this.ids;
  }

  private async fetch(request: {
    id: number;
    url: string;
    method: string;
    headers: [string, string][];
    body: string | null;
  }) {
    const { id, url, ...init } = request;
    const cancel = new AbortController();
    this.streams.set(id, (value) => {
      if (value === null) cancel.abort();
    });
    const signal = AbortSignal.any([cancel.signal, this.hangUp.signal]);
    const response = await fetch(url, { ...init, signal });
    if (response.body) this.readers.set(id, response.body.getReader());
    return { status: response.status, headers: [...response.headers] };
  }

  private async call(
    kind: string,
    call: { name: string; args: Record<string, unknown> },
  ): Promise<unknown> {
    const { t, lib } = this.backend;
    const reference = lib[call.name as "append"];
    // Values cross the border as JSON.
    const args = JSON.parse(JSON.stringify(call.args)) as FunctionArgs<
      typeof reference
    >;
    await travel();
    if (this.invocation.over) return null;
    const answer = await this.carryOut(kind, () =>
      kind === "query"
        ? t.query(reference as unknown as typeof lib.read, args)
        : t.mutation(reference, args),
    );
    await travel();
    return answer;
  }

  private async carryOut(kind: string, run: () => Promise<unknown>) {
    if (kind === "query") return run();
    this.onMutation();
    if (this.refuseMutations) {
      this.refused++;
      throw new Error("The commit was refused.");
    }
    return run();
  }
}

/** Classes of the host that behave as the runtime's do. */
const globals = {
  Blob,
  DOMException,
  Event,
  EventTarget,
  FormData,
  Headers,
  TextDecoder,
  TextEncoder,
  URL,
  URLSearchParams,
  atob,
  btoa,
  console: { ...console, error: () => {}, warn: () => {}, log: () => {} },
  crypto,
  performance,
  structuredClone,
};
