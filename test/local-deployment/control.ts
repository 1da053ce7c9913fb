import type { IncomingMessage, ServerResponse } from "node:http";
import { convexToJson, jsonToConvex, type JSONValue } from "convex/values";
import { describeError } from "./failure.js";
import type { FaultSettings } from "./faults.js";
import { OPEN_CORS, readJson, sendJson } from "./json.js";
import type { LocalDeployment } from "./deployment.js";

/**
 * What can be asked for beside the settings, each once: `{ "cutConnections": true }`,
 * or `{ "cutConnections": "reader=7" }` for requests whose URL contains that.
 */
interface FaultActions {
  cutConnections?: boolean | string;
  dropSockets?: boolean;
  killActions?: boolean | string;
  site?: "online" | "offline";
}

/**
 * The deployment's controls as JSON over HTTP, for other processes and for
 * pages in a browser (CORS is open). On the port of the site and, since that
 * can be taken offline, on the port of the sync protocol too.
 *
 * - `GET /_local/counters` → the counters
 * - `POST /_local/reset` → sets them to zero
 * - `GET /_local/faults` → the fault settings
 * - `POST /_local/faults` `{ commitDelayMs?, refuseCommits?, loseAnswers?, only?,
 *   cutConnections?, dropSockets?, killActions?, site? }` → sets, or does, what is
 *   given; the answer is the settings
 * - `POST /_local/run` `{ path, args?, component? }` → `{ value }`: calls any
 *   function, internal ones too
 * - `GET /_local/open` → `{ sockets, subscriptions, actions, starts }`: how many there
 *   are now, and how often the deployment was started
 * - `POST /_local/clock` `{ aheadMs }` → sets the deployment's clock so far ahead
 *   of the machine's; crons and scheduled functions that are due by it run at once
 *
 * Errors are `{ error }` with status 400.
 */
export async function handleControl(
  deployment: LocalDeployment,
  pathname: string,
  incoming: IncomingMessage,
  outgoing: ServerResponse,
): Promise<void> {
  if (incoming.method === "OPTIONS") {
    outgoing.writeHead(204, OPEN_CORS).end();
    return;
  }
  try {
    const body = (await readJson(incoming)) as Record<string, unknown>;
    // What is asked for may cut connections. This one gets its answer first.
    outgoing.setHeader("connection", "close");
    const answer = await control(
      deployment,
      `${incoming.method} ${pathname.slice("/_local".length)}`,
      body,
      outgoing,
    );
    sendJson(outgoing, 200, answer);
  } catch (error) {
    sendJson(outgoing, 400, { error: describeError(error) });
  }
}

async function control(
  deployment: LocalDeployment,
  request: string,
  body: Record<string, unknown>,
  outgoing: ServerResponse,
): Promise<unknown> {
  const { counters, faults } = deployment;
  switch (request) {
    case "GET /counters":
      return counters.read();
    case "POST /reset":
      counters.reset();
      return counters.read();
    case "GET /faults":
      return faults.settings;
    case "POST /faults":
      await inject(deployment, body, outgoing);
      return faults.settings;
    case "POST /run": {
      const { path, args, component } = body as {
        path: string;
        args?: JSONValue;
        component?: string;
      };
      const value = await deployment.call(
        path,
        jsonToConvex(args ?? {}) as Record<string, never>,
        { component },
      );
      return { value: convexToJson(value) };
    }
    case "GET /open":
      return deployment.open();
    case "POST /clock": {
      const { aheadMs } = body as { aheadMs: number };
      deployment.setClock(aheadMs);
      return { aheadMs };
    }
    default:
      throw new Error(`The local deployment has no "${request}".`);
  }
}

async function inject(
  { faults }: LocalDeployment,
  body: Record<string, unknown>,
  outgoing: ServerResponse,
): Promise<void> {
  const { cutConnections, dropSockets, killActions, site, ...settings } =
    body as FaultActions & Partial<FaultSettings>;
  faults.set(settings);
  const urlOf = (what: boolean | string) =>
    typeof what === "string" ? what : undefined;
  if (cutConnections) faults.cutConnections(urlOf(cutConnections));
  if (dropSockets) faults.dropSockets();
  if (killActions) faults.killActions(urlOf(killActions));
  if (site === "offline") {
    await faults.siteOffline(outgoing.socket ?? undefined);
  }
  if (site === "online") await faults.siteOnline();
}
