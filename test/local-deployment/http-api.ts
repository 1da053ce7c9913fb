import type { IncomingMessage, ServerResponse } from "node:http";
import { text } from "node:stream/consumers";
import { convexToJson, jsonToConvex, type JSONValue } from "convex/values";
import type { LocalDeployment } from "./deployment.js";
import type { Engine } from "./engine.js";
import { describeError, failureOf } from "./failure.js";
import type { FaultSettings } from "./faults.js";
import type { FunctionKind } from "./functions.js";
import { identityOf } from "./identity.js";

/** The status that tells clients the function ran, and failed. */
const FUNCTION_FAILED = 560;

/** Answers JSON with JSON, for any origin. */
async function serveJson<Body>(
  incoming: IncomingMessage,
  outgoing: ServerResponse,
  answer: (body: Body) => Promise<unknown>,
  failure: (error: unknown) => { status: number; body: object },
): Promise<void> {
  const send = (status: number, body: unknown) =>
    outgoing
      .writeHead(status, {
        "access-control-allow-origin": "*",
        "access-control-allow-methods": "GET, POST, OPTIONS",
        "access-control-allow-headers":
          "*, authorization, content-type, convex-client",
        "content-type": "application/json",
      })
      .end(JSON.stringify(body));
  if (incoming.method === "OPTIONS") {
    send(200, {});
    return;
  }
  try {
    const body = await text(incoming);
    send(200, await answer(JSON.parse(body || "{}") as Body));
  } catch (error) {
    const { status, body } = failure(error);
    send(status, body);
  }
}

/** `/api/query`, `/api/mutation` and `/api/action`: what `ConvexHttpClient` calls. */
export async function handleClientApi(
  engine: Engine,
  kind: FunctionKind,
  incoming: IncomingMessage,
  outgoing: ServerResponse,
): Promise<void> {
  await serveJson(
    incoming,
    outgoing,
    async ({ path, args }: { path: string; args: [JSONValue] | JSONValue }) => {
      const { authorization } = incoming.headers;
      const identity = authorization
        ? identityOf(authorization.replace(/^Bearer /i, ""))
        : null;
      const { value } = await engine.callPublic(
        kind,
        path,
        Array.isArray(args) ? args[0] : args,
        identity,
      );
      return { status: "success", value: convexToJson(value), logLines: [] };
    },
    (error) => {
      const { message: errorMessage, data: errorData } = failureOf(error);
      return {
        status: FUNCTION_FAILED,
        body: { status: "error", errorMessage, errorData, logLines: [] },
      };
    },
  );
}

/** What a control may be given. */
interface Controls extends Partial<FaultSettings> {
  cutConnections?: boolean;
  dropSockets?: boolean;
  killActions?: boolean;
  path: string;
  args?: JSONValue;
  component?: string;
  aheadMs: number;
}

/**
 * The deployment's controls over HTTP, for other processes and for pages:
 *
 * - `GET /_local/counters`, `POST /_local/reset`
 * - `GET /_local/faults`, `POST /_local/faults`: settings, and
 *   `{ cutConnections, dropSockets, killActions: true }`
 * - `POST /_local/run` `{ path, args?, component? }`: calls any function
 * - `GET /_local/open`
 * - `POST /_local/clock` `{ aheadMs }`
 */
export async function handleControl(
  deployment: LocalDeployment,
  pathname: string,
  incoming: IncomingMessage,
  outgoing: ServerResponse,
): Promise<void> {
  const { counters, faults } = deployment;
  await serveJson(
    incoming,
    outgoing,
    async (body: Controls) => {
      switch (`${incoming.method} ${pathname.slice("/_local".length)}`) {
        case "GET /counters":
          return counters.read();
        case "POST /reset":
          return counters.reset();
        case "GET /faults":
          return faults.set({});
        case "POST /faults": {
          const { cutConnections, dropSockets, killActions, ...settings } =
            body;
          if (cutConnections) faults.cutConnections();
          if (dropSockets) faults.dropSockets();
          if (killActions) faults.killActions();
          return faults.set(settings);
        }
        case "POST /run": {
          const args = jsonToConvex(body.args ?? {}) as Record<string, never>;
          const value = await deployment.call(body.path, args, body);
          return { value: convexToJson(value) };
        }
        case "GET /open":
          return deployment.open();
        case "POST /clock":
          deployment.setClock(body.aheadMs);
          return {};
        default:
          throw new Error(`The local deployment has no ${pathname}.`);
      }
    },
    (error) => ({ status: 400, body: { error: describeError(error) } }),
  );
}
