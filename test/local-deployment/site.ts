import type { ServerResponse } from "node:http";
import type { HttpBindings } from "@hono/node-server";
import { RESPONSE_ALREADY_SENT } from "@hono/node-server/utils/response";
import type { UserIdentity } from "convex/server";
import type { Context } from "hono";
import type { Engine } from "./engine.js";
import { failureOf } from "./failure.js";
import { identityOf } from "./identity.js";
import { Invocation } from "./invocation.js";
import { MAX_RESPONSE_BYTES } from "./value-limits.js";

/** Runs the app's HTTP actions for requests from a socket. */
export class Site {
  private readonly responses = new Set<ServerResponse>();

  constructor(private readonly engine: Engine) {}

  async handle({
    req,
    env: { outgoing },
  }: Context<{ Bindings: HttpBindings }>): Promise<Response> {
    const { engine } = this;
    const request = await toRequest(req.raw);
    const name = `${req.method} ${req.path}`;
    const identity = bearerIdentity(req.raw);
    const invocation = new Invocation("action", name, identity);
    engine.counters.functionCalls++;
    this.responses.add(outgoing);
    try {
      const response = await engine.httpAction(invocation, request);
      if (outgoing.destroyed) {
        // As on a deployment, this ends the action.
        throw new Error("The client left before the response's head was sent.");
      }
      outgoing.statusCode = response.status;
      outgoing.setHeaders(response.headers);
      outgoing.flushHeaders();
      // Raced once, not for each piece: `failed` keeps everything that waits for
      // it until the action ends.
      const drained = drain(response, invocation, outgoing);
      await Promise.race([drained, invocation.failed]);
    } catch (error) {
      engine.report(name, error);
      if (!outgoing.headersSent && !outgoing.destroyed) {
        outgoing.statusCode = 500;
        outgoing.write(JSON.stringify(failureOf(error)));
      }
    } finally {
      // To the client, a body that fails looks like one that ends.
      outgoing.end();
      // The action ends with its body. Anything it has not awaited by then
      // never happens.
      engine.finish(invocation);
      this.responses.delete(outgoing);
    }
    return RESPONSE_ALREADY_SENT;
  }

  /** Cuts every connection on which a response is under way. The actions run on. */
  cutConnections(): void {
    for (const outgoing of this.responses) outgoing.socket?.destroy();
  }
}

/**
 * Takes the body as fast as it comes. What the client has not read yet waits
 * in memory, so the code is never held back. If the client leaves, nothing
 * changes.
 */
async function drain(
  { body }: Response,
  invocation: Invocation,
  outgoing: ServerResponse,
): Promise<void> {
  const reader = body?.getReader();
  let sent = 0;
  for (;;) {
    const read = await reader?.read();
    if (read === undefined || read.done || invocation.over) return;
    if (sent + read.value.byteLength > MAX_RESPONSE_BYTES) continue;
    sent += read.value.byteLength;
    if (!outgoing.destroyed) outgoing.write(read.value);
  }
}

async function toRequest(raw: Request): Promise<Request> {
  const { method, url, headers } = raw;
  const hasBody = method !== "GET" && method !== "HEAD";
  const body = hasBody ? await raw.arrayBuffer() : undefined;
  const request = new Request(url, { method, headers, body });
  // Aborts when the client leaves. A request's own signal follows another one only as
  // long as the request itself is referenced: code may keep just the signal.
  Object.defineProperty(request, "signal", { value: raw.signal });
  return request;
}

/**
 * The user of an `Authorization: Bearer` header. Another token may be the app's
 * own, such as an API key: the action runs without an identity, and reads the
 * header itself.
 */
function bearerIdentity({ headers }: Request): UserIdentity | null {
  const header = headers.get("authorization") ?? "";
  const token = /^Bearer (.+)$/i.exec(header)?.[1];
  if (token === undefined) return null;
  try {
    return identityOf(token);
  } catch {
    return null;
  }
}
