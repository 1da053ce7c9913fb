import type { HttpBindings } from "@hono/node-server";
import type { Value } from "convex/values";
import { Hono } from "hono";
import { WebSocketServer } from "ws";
import { newCounters, type Counters } from "./counters.js";
import { Engine } from "./engine.js";
import type { FaultSettings } from "./faults.js";
import { clientApi, controls } from "./http-api.js";
import { watchStrayErrors } from "./invocation.js";
import { Jobs } from "./jobs.js";
import { Listener } from "./listener.js";
import { clock } from "./process-clock.js";
import { QueryCache } from "./queries.js";
import { Site } from "./site.js";
import { SyncHub } from "./sync.js";

export type { Counters } from "./counters.js";

export interface DeploymentOptions {
  /** The folder of the app's functions: a path in this repository, or an absolute one. */
  functionsDir: string;
  /** The components by their name in the app, each a folder of its functions. Default: this repository's. */
  components?: Record<string, string>;
  /** Where clients connect: the `url` of a `ConvexReactClient`. Default: any free port. */
  port?: number;
  /** Where HTTP actions are served. Default: any free port. */
  sitePort?: number;
  /**
   * The folder that keeps the data, and what is scheduled, for the next
   * deployment started with it. Default: everything is in memory.
   */
  data?: string;
  /** Gets what the deployment has to say, including functions' errors. Default: `console.log`. */
  log?: (line: string) => void;
}

export async function startDeployment(
  options: DeploymentOptions,
): Promise<LocalDeployment> {
  // Bound now: functions see another console.
  const { log = console.log.bind(console) } = options;
  const engine = await Engine.start(options, log);
  const deployment = new LocalDeployment(engine, options);
  watchStrayErrors();
  try {
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

/**
 * A deployment on this machine, for the demo and for tests: it runs an app's
 * functions and its components, and serves `ConvexReactClient`,
 * `ConvexHttpClient` and HTTP actions. Other processes reach its counters and
 * faults under `/_local/` at both of its ports (`http-api.ts`).
 *
 * The path of a mutation: `sync.ts` receives the client's message. `engine.ts` waits
 * for its turn (`turns.ts`), runs the function on the documents in `database.ts`, and
 * commits. `queries.ts` reruns the queries that read changed documents (`documents.ts`),
 * and `sync.ts` sends the results to the clients. `site.ts` serves HTTP actions,
 * `jobs.ts` runs crons and scheduled functions, and `journal.ts` keeps the data across
 * restarts.
 */
export class LocalDeployment {
  private readonly hub: SyncHub;
  private readonly site: Site;
  private readonly jobs: Jobs;
  private readonly sockets = new WebSocketServer({ noServer: true });
  private readonly clients: Listener;
  private readonly actions: Listener;
  private isStopped = false;

  constructor(
    private readonly engine: Engine,
    { port = 0, sitePort = 0 }: DeploymentOptions,
  ) {
    const cache = new QueryCache(engine);
    this.hub = new SyncHub(engine, cache);
    this.site = new Site(engine);
    this.jobs = new Jobs(engine);
    engine.events = {
      committed: (writes) => {
        cache.invalidate(writes);
        this.hub.settle();
        this.jobs.committed(writes);
      },
      query: (call) => cache.call(call),
    };
    const api = new Hono().route("/", controls(this));
    this.clients = new Listener(port, api.route("/", clientApi(engine)));
    this.clients.server.on("upgrade", (request, socket, head) => {
      socket.on("error", () => socket.destroy());
      this.sockets.handleUpgrade(request, socket, head, (webSocket) => {
        this.hub.connect(webSocket);
      });
    });
    const site = new Hono<{ Bindings: HttpBindings }>()
      .route("/", controls(this))
      .all("*", (context) => this.site.handle(context));
    this.actions = new Listener(sitePort, site);
  }

  get url(): string {
    return this.clients.url;
  }

  get siteUrl(): string {
    return this.actions.url;
  }

  readonly counters = {
    read: (): Counters => ({ ...this.engine.counters }),
    reset: (): Counters => Object.assign(this.engine.counters, newCounters()),
  };

  readonly faults = {
    /** Changes some settings. Returns all of them. */
    set: (changes: Partial<FaultSettings>): FaultSettings =>
      Object.assign(this.engine.faults.settings, changes),
    /** Cuts every connection on which an HTTP action is responding. The actions run on. */
    cutConnections: (): void => this.site.cutConnections(),
    /** Closes every WebSocket. Clients reconnect by themselves. */
    dropSockets: (): void => {
      for (const socket of this.sockets.clients) socket.terminate();
    },
    /** Ends every running action, as a crash of the backend would: a response simply ends. */
    killActions: (): void => {
      for (const action of this.engine.actions) {
        action.fail(new Error(`"${action.name}" was killed.`));
      }
    },
    /** From now on, the port of the HTTP actions refuses connections. Open ones are cut. */
    siteOffline: (): Promise<void> => this.actions.close(),
    siteOnline: (): Promise<void> => this.actions.open(),
  };

  /**
   * Calls any function by its path, e.g. `chat:send`, or `lib:append` of the
   * component named. It is billed like a client's call.
   */
  async call(
    path: string,
    args: Record<string, Value> = {},
    { component = "" }: { component?: string } = {},
  ): Promise<Value> {
    const { value } = await this.engine.call({
      path: { componentPath: component, udfPath: path },
      ...{ args, identity: null },
    });
    return value;
  }

  /** How many actions are running. */
  open(): { actions: number } {
    return { actions: this.engine.actions.size };
  }

  /** Sets the clock ahead of the machine's. What is due by it runs at once, crons included. */
  setClock(aheadMs: number): void {
    clock.set(aheadMs);
    this.jobs.clockChanged();
  }

  /** Stops everything but keeps the data: running actions end, ports refuse connections. */
  async down(): Promise<void> {
    this.jobs.down();
    this.faults.killActions();
    this.faults.dropSockets();
    await Promise.all([this.clients.close(), this.actions.close()]);
  }

  /** After `down`: everything again, on the same ports, with the same data. */
  async up(): Promise<void> {
    await Promise.all([this.clients.open(), this.actions.open()]);
    await this.jobs.up();
  }

  /** Ends the deployment. Its data is gone, unless a folder keeps it. */
  async stop(): Promise<void> {
    if (this.isStopped) return;
    this.isStopped = true;
    await this.down();
    this.sockets.close();
    this.engine.close();
  }
}
