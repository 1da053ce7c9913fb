import type { Socket } from "node:net";
import { setTimeout } from "node:timers";
import {
  type FunctionReference,
  type FunctionReturnType,
  type OptionalRestArgs,
  type UserIdentity,
} from "convex/server";
import type { Value } from "convex/values";
import { WebSocketServer } from "ws";
import { handleClientApi } from "./client-api.js";
import { handleControl } from "./control.js";
import type { Counters } from "./counters.js";
import { CronRunner } from "./cron-runner.js";
import { Engine } from "./engine.js";
import type { Faults, FaultSettings } from "./faults.js";
import {
  canonicalPath,
  resolveReference,
  type FunctionKind,
  type FunctionPath,
} from "./functions.js";
import { identityOf } from "./identity.js";
import { Jobs } from "./jobs.js";
import { sendJson } from "./json.js";
import { Listener } from "./listener.js";
import { QueryCache } from "./queries.js";
import { Site } from "./site.js";
import { unwatchStrayErrors, watchStrayErrors } from "./stray-errors.js";
import { SyncHub } from "./sync.js";

export { localToken } from "./identity.js";
export type { Counters } from "./counters.js";
export type { FaultSettings } from "./faults.js";

export interface DeploymentOptions {
  /** The folder of the app's functions. */
  functionsDir: string;
  /** The components by their name in the app, each a folder of its functions. */
  components?: Record<string, string>;
  /** Where clients connect: the `url` of a `ConvexReactClient`. 0, or left out: any free port. */
  port?: number;
  /** Where HTTP actions are served. 0, or left out: any free port. */
  sitePort?: number;
  /** Default: 127.0.0.1. */
  host?: string;
  /**
   * The folder that keeps the data, and what is scheduled, for the next
   * deployment that is started with it. Left out: all of it is in memory.
   * Files in storage are not kept.
   */
  data?: string;
  /** Gets what the deployment has to say, errors of functions among it. Default: `console.log`. */
  log?: (line: string) => void;
}

/** What can go wrong: settings that last, and things that happen once. */
export interface FaultControls {
  /** The settings as they are. Assign to them, or use `set`. */
  readonly settings: FaultSettings;
  set(changes: Partial<FaultSettings>): void;
  /**
   * Cuts every connection on which an HTTP action is responding. The actions run on.
   *
   * @param url Only of requests whose URL contains this.
   */
  cutConnections(url?: string): void;
  /** Closes every WebSocket. Clients connect again by themselves. */
  dropSockets(): void;
  /**
   * Ends every running action, as a crash of the backend would: a response simply ends.
   *
   * @param url Only of requests whose URL contains this.
   */
  killActions(url?: string): void;
  /**
   * From now on, the port of the HTTP actions refuses connections; the present
   * ones are cut, but for one that may be spared for its answer.
   */
  siteOffline(spare?: Socket): Promise<void>;
  siteOnline(): Promise<void>;
}

type AnyFunction = FunctionReference<FunctionKind, "public" | "internal">;

/**
 * A deployment on this machine: it runs an app's functions and its
 * components, serves `ConvexReactClient` and `ConvexHttpClient`, and HTTP
 * actions. For trying out, and for tests.
 *
 * What it counts and what can go wrong is reachable from other processes too,
 * as JSON under `/_local/` at both of its ports: see `control.ts`.
 *
 * The parts, along the way of a mutation: a client's message arrives in
 * `sync.ts`; `engine.ts` runs the function when it is its turn (`turns.ts`) on
 * the documents of `database.ts` and commits; `queries.ts` runs again what had
 * read what was written (`reads.ts`); `sync.ts` tells the clients. Beside it:
 * `site.ts` for HTTP actions, `jobs.ts` and `cron-runner.ts` for what runs
 * later, `journal.ts` for what outlives the process, `deployment-clock.ts` for
 * what time it is.
 */
export interface LocalDeployment {
  readonly url: string;
  readonly siteUrl: string;
  /** Calls any function of the app, or of a component through `components`. As a client's call, it is billed. */
  run<F extends AnyFunction>(
    fn: F,
    ...args: OptionalRestArgs<F>
  ): Promise<FunctionReturnType<F>>;
  /**
   * Calls any function by its path, e.g. `chat:send`, or `lib:append` of the
   * component named.
   *
   * @param options.token Speaks for a user; `localToken("ann")` makes one.
   */
  call(
    path: string,
    args?: Record<string, Value>,
    options?: { component?: string; token?: string },
  ): Promise<Value>;
  readonly counters: { read(): Counters; reset(): void };
  readonly faults: FaultControls;
  /**
   * What is open now: 0 of each when nobody is there and nothing happens; and
   * how often the deployment has been started.
   */
  open(): {
    sockets: number;
    subscriptions: number;
    actions: number;
    starts: number;
  };
  /**
   * Sets the deployment's clock so far ahead of the machine's: what functions
   * see as `Date`, and what crons and scheduled functions wait for. What is
   * due by it runs at once.
   */
  setClock(aheadMs: number): void;
  /** Stops everything but keeps the data: running actions end, ports refuse connections. */
  down(): Promise<void>;
  /** After `down`: everything again, on the same ports, with the same data. */
  up(): Promise<void>;
  /** `down`, and `up` again after so many milliseconds (default 0). */
  restart(options?: { downMs?: number }): Promise<void>;
  /** Ends the deployment. Its data is gone, unless a folder keeps it. */
  stop(): Promise<void>;
}

export async function startDeployment(
  options: DeploymentOptions,
): Promise<LocalDeployment> {
  // Not `console.log` at the time of the call: functions see another console.
  const log = options.log ?? console.log.bind(console);
  const engine = await Engine.start({
    functionsDir: options.functionsDir,
    components: options.components ?? {},
    data: options.data ?? null,
    log,
  });
  const deployment = new Deployment(engine, {
    host: options.host ?? "127.0.0.1",
    port: options.port ?? 0,
    sitePort: options.sitePort ?? 0,
  });
  watchStrayErrors();
  try {
    await deployment.inherit();
    await deployment.up();
  } catch (error) {
    await deployment.stop();
    throw error;
  }
  log(
    `Local deployment at ${deployment.url}, HTTP actions at ${deployment.siteUrl}. For demos and tests only: all data is ${options.data === undefined ? "in memory" : `in ${options.data}`}, and auth tokens are not verified.`,
  );
  return deployment;
}

class Deployment implements LocalDeployment {
  readonly faults: FaultControls;
  readonly counters: LocalDeployment["counters"];
  private readonly engine: Engine;
  private readonly cache: QueryCache;
  private readonly hub: SyncHub;
  private readonly site: Site;
  private readonly jobs: Jobs;
  private readonly crons: CronRunner;
  private readonly sockets = new WebSocketServer({ noServer: true });
  private readonly clients: Listener;
  private readonly actions: Listener;
  private isStopped = false;
  private starts = 0;

  constructor(
    engine: Engine,
    listen: { host: string; port: number; sitePort: number },
  ) {
    this.engine = engine;
    this.cache = new QueryCache(engine);
    this.hub = new SyncHub(engine, this.cache);
    this.site = new Site(engine);
    this.jobs = new Jobs(engine);
    this.crons = new CronRunner(engine);
    this.clients = this.listenForClients(listen.host, listen.port);
    this.actions = this.listenForActions(listen.host, listen.sitePort);
    this.counters = engine.counters;
    this.faults = this.controls(engine.faults);
    engine.events = {
      committed: (writes) => {
        this.cache.invalidate(writes);
        this.hub.settle();
      },
      scheduled: (job) => this.jobs.add(job),
      query: (path, args, identity) => this.cache.call(path, args, identity),
    };
  }

  get url(): string {
    return this.clients.url;
  }

  get siteUrl(): string {
    return this.actions.url;
  }

  async run<F extends AnyFunction>(
    fn: F,
    ...[args]: OptionalRestArgs<F>
  ): Promise<FunctionReturnType<F>> {
    const path = resolveReference(fn, "");
    return await this.invoke(path, args ?? {}, null);
  }

  async call(
    path: string,
    args: Record<string, Value> = {},
    { component = "", token }: { component?: string; token?: string } = {},
  ): Promise<Value> {
    const identity = token === undefined ? null : identityOf(token);
    return await this.invoke(
      { componentPath: component, udfPath: canonicalPath(path) },
      args,
      identity,
    );
  }

  open() {
    const actions = this.engine.actions.size;
    return { ...this.hub.open(), actions, starts: this.starts };
  }

  setClock(aheadMs: number): void {
    this.engine.clock.set(aheadMs);
    this.jobs.clockChanged();
    this.crons.clockChanged();
  }

  /** Goes on where an earlier process has ended. */
  async inherit(): Promise<void> {
    const { jobs, answers } = this.engine.legacy;
    this.hub.inherit(answers);
    await this.jobs.inherit(jobs);
  }

  async down(): Promise<void> {
    this.jobs.down();
    this.crons.down();
    this.faults.killActions();
    this.hub.dropAll();
    await Promise.all([this.clients.close(), this.actions.close()]);
  }

  async up(): Promise<void> {
    if (this.isStopped) {
      throw new Error("The local deployment has been stopped.");
    }
    await Promise.all([this.clients.open(), this.actions.open()]);
    this.starts++;
    this.jobs.up();
    this.crons.up();
  }

  async restart({ downMs = 0 }: { downMs?: number } = {}): Promise<void> {
    await this.down();
    await new Promise((resolve) => setTimeout(resolve, downMs));
    if (!this.isStopped) await this.up();
  }

  async stop(): Promise<void> {
    if (this.isStopped) return;
    this.isStopped = true;
    await this.down();
    this.sockets.close();
    this.engine.close();
    unwatchStrayErrors();
  }

  private async invoke(
    path: FunctionPath,
    args: Value,
    identity: UserIdentity | null,
  ): Promise<Value> {
    this.engine.counters.add("functionCalls");
    switch (this.engine.kindOf(path)) {
      case "query":
        return await this.cache.call(path, args, identity);
      case "mutation":
        return (await this.engine.remoteMutation(path, args, identity)).value;
      case "action":
        return await this.engine.action(path, args, identity);
    }
  }

  private controls(faults: Faults): FaultControls {
    return {
      settings: faults.settings,
      set: (changes) => faults.set(changes),
      cutConnections: (url) => this.site.cutConnections(url),
      dropSockets: () => this.hub.dropAll(),
      killActions: (url) => {
        for (const action of this.engine.actions) {
          if (!action.asksFor(url)) continue;
          action.fail(new Error(`"${action.name}" was killed.`));
        }
      },
      siteOffline: (spare) => this.actions.close(spare),
      siteOnline: () => this.actions.open(),
    };
  }

  private listenForClients(host: string, port: number): Listener {
    const listener = new Listener(host, port, async (incoming, outgoing) => {
      const { pathname } = new URL(incoming.url ?? "/", "http://localhost");
      if (pathname.startsWith("/_local/")) {
        await handleControl(this, pathname, incoming, outgoing);
        return;
      }
      const kind = /^\/api\/(query|mutation|action)$/.exec(pathname)?.[1];
      if (kind === undefined) {
        sendJson(outgoing, 404, { error: `Nothing at ${pathname}.` });
      } else if (incoming.method === "OPTIONS") {
        sendJson(outgoing, 200, {});
      } else {
        await handleClientApi(
          this.engine,
          this.cache,
          kind as FunctionKind,
          incoming,
          outgoing,
        );
      }
    });
    listener.server.on("upgrade", (request, socket, head) => {
      if (!/^\/api\/([^/]+\/)?sync$/.test(request.url ?? "")) {
        socket.destroy();
        return;
      }
      socket.on("error", () => socket.destroy());
      this.sockets.handleUpgrade(request, socket, head, (webSocket) => {
        this.hub.connect(webSocket);
      });
    });
    return listener;
  }

  private listenForActions(host: string, port: number): Listener {
    return new Listener(host, port, async (incoming, outgoing) => {
      const { pathname } = new URL(incoming.url ?? "/", "http://localhost");
      if (pathname.startsWith("/_local/")) {
        await handleControl(this, pathname, incoming, outgoing);
      } else {
        await this.site.handle(incoming, outgoing);
      }
    });
  }
}
