import type { Action } from "./action.js";
import type { Deployment } from "./lab-backend.js";
import type { LabClock } from "./lab-clock.js";
import type { ConnectionPlan } from "./schedule.js";

/** What `fetch` says when a connection fails. */
export const failedToFetch = () => new TypeError("Failed to fetch");

const aborted = () => new DOMException("Aborted.", "AbortError");

interface Asked {
  url: string;
  method: string;
  signal: AbortSignal | null;
}

/** Answers all requests of the platform's `fetch`, until they are aborted. */
export function answerRequests(
  clock: LabClock,
  respond: (asked: Asked) => Promise<Response>,
): void {
  globalThis.fetch = (input, { method = "GET", signal = null } = {}) =>
    new Promise((resolve, reject) => {
      const abort = () => reject(aborted());
      signal?.addEventListener("abort", abort);
      if (signal?.aborted) abort();
      const asked = { url: input as string, method, signal };
      clock.asNobody(() => respond(asked)).then(resolve, reject);
    });
}

/**
 * Answers a request with an action, over a connection.
 *
 * As on a deployment, the action ends when its body does, and if it dies, the body
 * ends normally. Everything it sends is read at once. Only the request's signal tells
 * it that the client has left.
 *
 * @throws TypeError, as `fetch` does, if the action dies before it answers.
 */
export async function serve(
  action: Action,
  connection: Partial<ConnectionPlan> = {},
  { url, method, signal }: Asked,
  handler: (ctx: Deployment["app"], request: Request) => Promise<Response>,
): Promise<Response> {
  const { sent, deployment } = action;
  const { clock, happenings } = deployment;
  const { answer = 0, as = "end", leavesAt, cutAfter, noticed } = connection;
  const client = new AbortController();
  let hasLeft = false;
  let source: ReadableStreamDefaultReader<Uint8Array> | null = null;
  const leave = () => {
    if (hasLeft) return;
    hasLeft = true;
    if (noticed === "not" || sent.closed || !action.alive) return;
    happenings.add("client gone");
    client.abort();
    if (noticed === "cancel" && source !== null) {
      sent.cancelled = true;
      source.cancel().catch(() => {});
    }
  };
  signal?.addEventListener("abort", leave);
  if (leavesAt != null) {
    void clock.wait(leavesAt).then(() => source ?? leave());
  }
  const answered = action
    .run((ctx) =>
      handler(ctx, new Request(url, { method, signal: client.signal })),
    )
    // The platform answers when an action throws.
    .catch(() => new Response(null, { status: 500 }));
  const response = await Promise.race([answered, action.over]);
  if (response === undefined) throw failedToFetch();
  sent.status = response.status;
  const isLost = answer === "lost";
  if (isLost) happenings.add("answer of a request lost");
  const { body } = response;
  if (body === null) {
    action.end();
    if (isLost) throw failedToFetch();
    return response;
  }
  if (client.signal.aborted) {
    // Sending the head fails, and that ends the action.
    happenings.add("client gone before the head");
    sent.cancelled = true;
    action.end();
    throw failedToFetch();
  }
  const reader = (source = body.getReader());
  let toClient!: ReadableStreamDefaultController<Uint8Array>;
  const received = new ReadableStream<Uint8Array>({
    start: (controller) => void (toClient = controller),
    cancel: leave,
  });
  signal?.addEventListener("abort", () => toClient.error(aborted()));
  let bytes = 0;
  const deliver = (piece: Uint8Array) => {
    if (hasLeft) return;
    const room = (cutAfter ?? Infinity) - bytes;
    bytes += piece.length;
    if (room > 0) toClient.enqueue(piece.subarray(0, room));
    if (piece.length < room) return;
    happenings.add("body cut");
    if (((piece[room] ?? 0) & 0xc0) === 0x80) {
      happenings.add("body cut inside a character");
    }
    if (as === "error") toClient.error(new TypeError("terminated"));
    else if (as === "end") toClient.close();
    else happenings.add("connection silent");
    leave();
  };
  const pump = async () => {
    const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
    for (;;) {
      const read = await Promise.race([reader.read(), action.over]);
      if (read === undefined || !action.alive) break;
      if (read.done) {
        if (sent.cancelled) return;
        sent.closed = true;
        action.end();
        break;
      }
      sent.text += decoder.decode(read.value, { stream: true });
      deliver(read.value);
    }
    if (!hasLeft) toClient.close();
  };
  if (isLost) leave();
  void clock.asNobody(pump);
  if (isLost) throw failedToFetch();
  // Meanwhile, everything the action sends is read.
  await clock.wait(answer);
  return new Response(received, response);
}
