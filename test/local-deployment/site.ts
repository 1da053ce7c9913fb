import type { IncomingMessage, ServerResponse } from "node:http";
import type { UserIdentity } from "convex/server";
import type { Engine } from "./engine.js";
import { failureOf } from "./failure.js";
import { identityOf } from "./identity.js";
import { Invocation } from "./invocation.js";
import { MAX_RESPONSE_BYTES } from "./value-limits.js";

/** Runs the app's HTTP actions for requests from a socket. */
export class Site {
  private readonly engine: Engine;
  private readonly responses = new Map<Invocation, ServerResponse>();

  constructor(engine: Engine) {
    this.engine = engine;
  }

  async handle(
    incoming: IncomingMessage,
    outgoing: ServerResponse,
  ): Promise<void> {
    const { engine } = this;
    const method = incoming.method ?? "GET";
    const url = new URL(
      incoming.url ?? "/",
      `http://${incoming.headers.host ?? "localhost"}`,
    );
    const invocation = new Invocation(
      "http",
      `${method} ${url.pathname}`,
      bearerIdentity(incoming),
    );
    engine.counters.add("functionCalls");
    this.responses.set(invocation, outgoing);
    try {
      const request = await toRequest(incoming, outgoing, url, method);
      const response = await engine.httpAction(request, invocation);
      await this.answer(invocation, response, outgoing);
    } catch (error) {
      engine.report(invocation.name, error);
      this.fail(outgoing, error);
    } finally {
      // The action is over when its body has ended. What it had not waited
      // for does not happen any more.
      invocation.finish();
      engine.actions.delete(invocation);
      this.responses.delete(invocation);
    }
  }

  /** Cuts every connection on which a response is under way. The actions run on. */
  cutConnections(url?: string): void {
    for (const [invocation, outgoing] of this.responses) {
      if (invocation.asksFor(url)) outgoing.socket?.destroy();
    }
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
    for (const [name, value] of response.headers) {
      if (name !== "set-cookie") outgoing.setHeader(name, value);
    }
    const cookies = response.headers.getSetCookie();
    if (cookies.length > 0) outgoing.setHeader("set-cookie", cookies);
    outgoing.flushHeaders();
    if (response.body !== null) {
      await this.drain(invocation, response.body, outgoing);
    }
    outgoing.end();
  }

  /**
   * Takes the body as fast as it comes. What the client has not read yet waits
   * in memory, however much it is: the code is never held back. A client that
   * has gone changes nothing.
   */
  private async drain(
    invocation: Invocation,
    body: ReadableStream<Uint8Array>,
    outgoing: ServerResponse,
  ): Promise<void> {
    // Raced once, not with each piece: whatever waits for a promise is kept until
    // that is settled, and this one is not before the action's end.
    await Promise.race([
      this.send(invocation, body.getReader(), outgoing),
      invocation.failed,
    ]);
  }

  private async send(
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

async function toRequest(
  incoming: IncomingMessage,
  outgoing: ServerResponse,
  url: URL,
  method: string,
): Promise<Request> {
  const chunks: Buffer[] = [];
  for await (const chunk of incoming) chunks.push(chunk as Buffer);
  const headers = new Headers();
  for (const [name, value] of Object.entries(incoming.headersDistinct)) {
    for (const item of value ?? []) headers.append(name, item);
  }
  const hasBody = method !== "GET" && method !== "HEAD";
  const request = new Request(url, {
    method,
    headers,
    body: hasBody ? Buffer.concat(chunks) : undefined,
  });
  const gone = new AbortController();
  outgoing.on("close", () => {
    if (outgoing.writableFinished) return;
    gone.abort(new DOMException("The client has gone.", "AbortError"));
  });
  // A request's own signal follows another one only as long as the request
  // itself is referenced: code may keep just the signal.
  Object.defineProperty(request, "signal", { value: gone.signal });
  return request;
}

/**
 * Who an `Authorization: Bearer` header speaks for. A token that is none of
 * Convex's may be the app's own, an API key for instance: the action runs
 * without an identity, and reads the header itself.
 */
function bearerIdentity(incoming: IncomingMessage): UserIdentity | null {
  const token = /^Bearer (.+)$/i.exec(
    incoming.headers.authorization ?? "",
  )?.[1];
  if (token === undefined) return null;
  try {
    return identityOf(token);
  } catch {
    return null;
  }
}
