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
    const invocation = new Invocation(
      "http",
      `${req.method} ${req.path}`,
      bearerIdentity(req.raw),
      { request },
    );
    engine.counters.functionCalls++;
    this.responses.add(outgoing);
    try {
      const answer = await engine.httpAction(invocation);
      await this.answer(invocation, answer, outgoing);
    } catch (error) {
      engine.report(invocation.name, error);
      this.fail(outgoing, error);
    } finally {
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

  private async answer(
    invocation: Invocation,
    response: Response,
    outgoing: ServerResponse,
  ): Promise<void> {
    if (outgoing.destroyed) {
      // As on a deployment, this ends the action.
      throw new Error("The client left before the response's head was sent.");
    }
    outgoing.statusCode = response.status;
    outgoing.setHeaders(response.headers);
    outgoing.flushHeaders();
    if (response.body !== null) {
      // Raced once, not for each piece: `failed` keeps everything that waits for
      // it until the action ends.
      const drained = this.drain(
        invocation,
        response.body.getReader(),
        outgoing,
      );
      await Promise.race([drained, invocation.failed]);
    }
    outgoing.end();
  }

  /**
   * Takes the body as fast as it comes. What the client has not read yet waits
   * in memory, so the code is never held back. If the client leaves, nothing
   * changes.
   */
  private async drain(
    invocation: Invocation,
    reader: ReadableStreamDefaultReader<Uint8Array>,
    outgoing: ServerResponse,
  ): Promise<void> {
    let sent = 0;
    for (;;) {
      const { done, value } = await reader.read();
      if (done || invocation.over) return;
      if (sent + value.byteLength > MAX_RESPONSE_BYTES) continue;
      sent += value.byteLength;
      if (!outgoing.destroyed) outgoing.write(value);
    }
  }

  /** To the client, a body that fails looks like one that ends. */
  private fail(outgoing: ServerResponse, error: unknown): void {
    if (outgoing.destroyed) return;
    if (!outgoing.headersSent) {
      outgoing.statusCode = 500;
      outgoing.setHeader("content-type", "application/json");
      outgoing.write(
        JSON.stringify({ code: failureOf(error).message, trace: "" }),
      );
    }
    outgoing.end();
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
