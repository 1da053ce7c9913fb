import { convexToJson, jsonToConvex, type JSONValue } from "convex/values";
import { Hono } from "hono";
import { cors } from "hono/cors";
import type { LocalDeployment } from "./deployment.js";
import type { Engine } from "./engine.js";
import { describeError, failureOf } from "./failure.js";
import type { FaultSettings } from "./faults.js";
import type { FunctionKind } from "./functions.js";
import { identityOf } from "./identity.js";

/** The status that tells clients the function ran, and failed. */
const FUNCTION_FAILED = 560;

/** `/api/query`, `/api/mutation` and `/api/action`: what `ConvexHttpClient` calls. */
export function clientApi(engine: Engine): Hono {
  const api = new Hono().use(cors());
  for (const kind of ["query", "mutation", "action"] satisfies FunctionKind[]) {
    api.post(`/api/${kind}`, async ({ req, json }) => {
      const { path, args } = await req.json<{
        path: string;
        args: [JSONValue] | JSONValue;
      }>();
      const token = req.header("authorization")?.replace(/^Bearer /i, "");
      const { value } = await engine.callPublic(
        kind,
        path,
        Array.isArray(args) ? args[0] : args,
        token === undefined ? null : identityOf(token),
      );
      return json({
        status: "success",
        value: convexToJson(value),
        logLines: [],
      });
    });
  }
  return api.onError((error, { json }) => {
    const { message: errorMessage, data: errorData } = failureOf(error);
    const answer = { status: "error", errorMessage, errorData, logLines: [] };
    return json(answer, FUNCTION_FAILED as 500);
  });
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
export function controls(deployment: LocalDeployment): Hono {
  const { counters, faults } = deployment;
  return new Hono()
    .use(cors())
    .get("/_local/counters", ({ json }) => json(counters.read()))
    .post("/_local/reset", ({ json }) => json(counters.reset()))
    .get("/_local/faults", ({ json }) => json(faults.set({})))
    .post("/_local/faults", async ({ req, json }) => {
      const { cutConnections, dropSockets, killActions, ...settings } =
        await req.json<
          Partial<FaultSettings> &
            Record<"cutConnections" | "dropSockets" | "killActions", boolean>
        >();
      if (cutConnections) faults.cutConnections();
      if (dropSockets) faults.dropSockets();
      if (killActions) faults.killActions();
      return json(faults.set(settings));
    })
    .post("/_local/run", async ({ req, json }) => {
      const { path, args, component } = await req.json<{
        path: string;
        args?: JSONValue;
        component?: string;
      }>();
      const itsArgs = jsonToConvex(args ?? {}) as Record<string, never>;
      const value = await deployment.call(path, itsArgs, { component });
      return json({ value: convexToJson(value) });
    })
    .get("/_local/open", ({ json }) => json(deployment.open()))
    .post("/_local/clock", async ({ req, json }) => {
      deployment.setClock((await req.json<{ aheadMs: number }>()).aheadMs);
      return json({});
    })
    .onError((error, { json }) => json({ error: describeError(error) }, 400));
}
