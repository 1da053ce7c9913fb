import type { IncomingMessage, ServerResponse } from "node:http";
import type { UserIdentity } from "convex/server";
import { convexToJson, jsonToConvex, type JSONValue } from "convex/values";
import type { Engine } from "./engine.js";
import { failureOf } from "./failure.js";
import { identityOf } from "./identity.js";
import { readJson, sendJson } from "./json.js";
import type { QueryCache } from "./queries.js";

/** The status that tells clients the function ran, and failed. */
const FUNCTION_FAILED = 560;

/** `/api/query`, `/api/mutation` and `/api/action`: what `ConvexHttpClient` calls. */
export async function handleClientApi(
  engine: Engine,
  cache: QueryCache,
  kind: "query" | "mutation" | "action",
  incoming: IncomingMessage,
  outgoing: ServerResponse,
): Promise<void> {
  let identity: UserIdentity | null = null;
  const authorization = incoming.headers.authorization;
  if (authorization !== undefined) {
    try {
      identity = identityOf(authorization.replace(/^Bearer /i, ""));
    } catch (error) {
      sendJson(outgoing, 401, {
        code: "InvalidAuthHeader",
        message: (error as Error).message,
      });
      return;
    }
  }
  const body = (await readJson(incoming)) as {
    path: string;
    args: JSONValue | [JSONValue];
  };
  engine.counters.add("functionCalls");
  try {
    const path = engine.publicFunction(body.path, kind);
    const args = jsonToConvex(
      Array.isArray(body.args) ? (body.args[0] ?? {}) : body.args,
    );
    const value =
      kind === "query"
        ? await cache.call(path, args, identity)
        : kind === "mutation"
          ? (await engine.remoteMutation(path, args, identity)).value
          : await engine.action(path, args, identity);
    sendJson(outgoing, 200, {
      status: "success",
      value: convexToJson(value),
      logLines: [],
    });
  } catch (error) {
    engine.report(body.path, error);
    const { message, data } = failureOf(error);
    sendJson(outgoing, FUNCTION_FAILED, {
      status: "error",
      errorMessage: message,
      ...(data === undefined ? {} : { errorData: data }),
      logLines: [],
    });
  }
}
