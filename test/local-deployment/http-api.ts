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
    const answer = { status: "error", ...failureOf(error), logLines: [] };
    return json(answer, FUNCTION_FAILED as 500);
  });
}

/** The body of a control's request. */
interface Control extends Partial<FaultSettings> {
  [action: `${"cut" | "drop" | "kill"}${string}`]: boolean;
  path?: string;
  args?: JSONValue;
  aheadMs?: number;
}

/**
 * The deployment's controls over HTTP, for other processes and for pages:
 * `GET` or `POST /_local/<name>`.
 */
export function controls(deployment: LocalDeployment): Hono {
  const { counters, faults } = deployment;
  const all: Record<string, (body: Control) => object | Promise<object>> = {
    counters: () => counters.read(),
    reset: () => counters.reset(),
    /** Changes settings, and returns all of them. */
    faults: ({ cutConnections, dropSockets, killActions, ...settings }) => {
      if (cutConnections) faults.cutConnections();
      if (dropSockets) faults.dropSockets();
      if (killActions) faults.killActions();
      return faults.set(settings);
    },
    /** Calls any function of the app. */
    run: async ({ path = "", args = {} }) => {
      const itsArgs = jsonToConvex(args) as Record<string, never>;
      return { value: convexToJson(await deployment.call(path, itsArgs)) };
    },
    open: () => deployment.open(),
    clock: ({ aheadMs = 0 }) => {
      deployment.setClock(aheadMs);
      return {};
    },
  };
  return new Hono()
    .use(cors())
    .all("/_local/:name", async ({ req, json }) => {
      const body = req.method === "POST" ? await req.json<Control>() : {};
      return json(await all[req.param("name")]!(body));
    })
    .onError((error, { json }) => json({ error: describeError(error) }, 400));
}
