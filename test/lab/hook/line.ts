import {
  createServer,
  request as httpRequest,
  type IncomingMessage,
  type ServerResponse,
} from "node:http";
import type { AddressInfo } from "node:net";
import { setImmediate } from "node:timers/promises";

/**
 * What a POST's URL may ask of the line that carries it, beside `reader`, the
 * name of who asks. It happens to the first POST of a reader for a stream.
 *
 * - `lose=before`, `lose=after`: it never arrives, or its answer does not.
 * - `hold=<ms>`: its answer comes so much later.
 * - `pieces=<bytes>`: the body comes in pieces of so many bytes at most.
 * - `stop=<bytes>`: that much of the body comes, and then, by `as`: `cut`, the
 *   connection breaks; `end`, the body ends as if it were whole; `dead`, nothing
 *   comes any more, and nothing says so.
 */
interface Orders {
  lose: "before" | "after" | null;
  hold: number;
  pieces: number;
  stop: number;
  as: "cut" | "end" | "dead" | null;
}

/** What the line has carried of a reader. */
export interface Traffic {
  /** The POSTs that were answered, by stream. */
  answered: Record<string, number>;
  /** Connections that are open. */
  open: number;
}

/**
 * Stands between pages and the HTTP actions, and does to a request what its
 * URL says. `GET /_line` tells of the traffic, by reader.
 */
export async function startLine(target: string) {
  const traffic = new Map<string, Traffic>();
  const troubled = new Set<string>();

  const of = (reader: string): Traffic => {
    let found = traffic.get(reader);
    if (found === undefined) {
      found = { answered: {}, open: 0 };
      traffic.set(reader, found);
    }
    return found;
  };

  async function carry(
    incoming: IncomingMessage,
    outgoing: ServerResponse,
  ): Promise<void> {
    // Each request has a connection of its own: a browser that finds a kept one
    // broken asks again by itself.
    outgoing.shouldKeepAlive = false;
    const url = new URL(incoming.url ?? "/", target);
    if (url.pathname === "/_line") {
      outgoing.setHeader("access-control-allow-origin", "*");
      outgoing.end(JSON.stringify(Object.fromEntries(traffic)));
      return;
    }
    const parts: Buffer[] = [];
    for await (const part of incoming) parts.push(part as Buffer);
    const body = Buffer.concat(parts);
    const isPost = incoming.method === "POST";
    const reader = of(url.searchParams.get("reader") ?? "");
    const streamId = isPost ? streamOf(body) : "";
    const key = `${url.searchParams.get("reader")} ${streamId}`;
    const orders = ordersOf(url, isPost && !troubled.has(key));
    if (isPost) troubled.add(key);

    reader.open++;
    outgoing.on("close", () => reader.open--);
    if (orders.lose === "before") {
      outgoing.destroy();
      return;
    }
    const answer = await ask(url, incoming, body, outgoing);
    if (orders.lose === "after") {
      answer.resume();
      outgoing.destroy();
      return;
    }
    if (orders.hold > 0) {
      await new Promise((resolve) => setTimeout(resolve, orders.hold));
    }
    if (isPost) {
      reader.answered[streamId] = (reader.answered[streamId] ?? 0) + 1;
    }
    outgoing.writeHead(answer.statusCode ?? 502, withoutHops(answer));
    outgoing.flushHeaders();
    await pass(answer, outgoing, orders);
  }

  const server = createServer((incoming, outgoing) => {
    carry(incoming, outgoing).catch(() => outgoing.destroy());
  });
  await new Promise<void>((resolve) =>
    server.listen(0, "127.0.0.1", () => resolve()),
  );
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}`,
    port,
    close: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

function ordersOf({ searchParams }: URL, troubled: boolean): Orders {
  const order = (name: string) => (troubled ? searchParams.get(name) : null);
  return {
    lose: order("lose") as Orders["lose"],
    hold: Number(order("hold") ?? 0),
    pieces: Number(order("pieces") ?? Infinity),
    stop: Number(order("stop") ?? Infinity),
    as: order("as") as Orders["as"],
  };
}

function streamOf(body: Buffer): string {
  return (JSON.parse(body.toString("utf8")) as { streamId: string }).streamId;
}

function ask(
  url: URL,
  incoming: IncomingMessage,
  body: Buffer,
  outgoing: ServerResponse,
): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    const { host: _, connection: _c, ...headers } = incoming.headers;
    const asked = httpRequest(
      url,
      { method: incoming.method, headers, agent: false },
      resolve,
    );
    asked.on("error", reject);
    // The server learns that the client has gone.
    outgoing.on("close", () => asked.destroy());
    asked.end(body);
  });
}

function withoutHops({ headers }: IncomingMessage) {
  const {
    connection: _,
    "keep-alive": _k,
    "transfer-encoding": _t,
    ...rest
  } = headers;
  return rest;
}

/** Passes the body on, as far as it is to come. */
async function pass(
  answer: IncomingMessage,
  outgoing: ServerResponse,
  { pieces, stop, as }: Orders,
): Promise<void> {
  let room = stop;
  for await (const chunk of answer as AsyncIterable<Buffer>) {
    for (let at = 0; at < chunk.length && room > 0;) {
      const piece = chunk.subarray(at, at + Math.min(pieces, room));
      at += piece.length;
      room -= piece.length;
      outgoing.write(piece);
      // On its way before the next one: they are to arrive one by one.
      if (pieces < Infinity) await setImmediate();
    }
    if (room > 0) continue;
    if (as === "cut") {
      // What has been written is to arrive.
      await setImmediate();
      outgoing.destroy();
      return;
    }
    if (as === "end") outgoing.end();
    // The rest is read, and goes nowhere.
  }
  if (room > 0) outgoing.end();
}
