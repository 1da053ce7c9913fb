import type { IncomingMessage, ServerResponse } from "node:http";

export const OPEN_CORS: Record<string, string> = {
  "access-control-allow-origin": "*",
  "access-control-allow-methods": "GET, POST, OPTIONS",
  "access-control-allow-headers":
    "*, authorization, content-type, convex-client",
};

/** A request's body as JSON; `{}` if it has none. */
export async function readJson(incoming: IncomingMessage): Promise<unknown> {
  const chunks: Buffer[] = [];
  for await (const chunk of incoming) chunks.push(chunk as Buffer);
  const text = Buffer.concat(chunks).toString("utf8");
  return text === "" ? {} : (JSON.parse(text) as unknown);
}

export function sendJson(
  outgoing: ServerResponse,
  status: number,
  body: unknown,
): void {
  outgoing.writeHead(status, {
    ...OPEN_CORS,
    "content-type": "application/json",
  });
  outgoing.end(JSON.stringify(body));
}
