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
  const { clock } = deployment;
  const { answer = 0, as = "end", leavesAt, cutAfter } = connection;
  const client = new AbortController();
  let hasHead = false;
  let hasLeft = false;
  const leave = () => {
    if (hasLeft) return;
    hasLeft = true;
    const isNoticed = connection.isNoticed !== false && action.alive;
    if (isNoticed) client.abort();
  };
  signal?.addEventListener("abort", leave);
  if (leavesAt != null) {
    void clock.wait(leavesAt).then(() => hasHead || leave());
  }
  const answered = action
    .run((ctx) =>
      handler(ctx, new Request(url, { method, signal: client.signal })),
    )
    // The platform answers when an action throws.
    .catch(() => new Response(null, { status: 500 }));
  const response = await Promise.race([answered, action.over]);
  if (response === undefined) throw failedToFetch();
  const isLost = answer === "lost";
  if (response.body === null) {
    action.end();
    if (isLost) throw failedToFetch();
    return response;
  }
  if (client.signal.aborted) {
    sent.failed = true;
    action.end();
    throw failedToFetch();
  }
  hasHead = true;
  const reader = response.body.getReader();
  let toClient!: ReadableStreamDefaultController<Uint8Array>;
  const received = new ReadableStream<Uint8Array>({
    start: (controller) => void (toClient = controller),
    cancel: leave,
  });
  signal?.addEventListener("abort", () => toClient.error(aborted()));
  let room = cutAfter ?? Infinity;
  const deliver = (piece: Uint8Array) => {
    if (hasLeft) return;
    if (room > 0) toClient.enqueue(piece.subarray(0, room));
    room -= piece.length;
    if (room > 0) return;
    if (as === "error") toClient.error(new TypeError("terminated"));
    if (as === "end") toClient.close();
    leave();
  };
  const pump = async () => {
    const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
    for (;;) {
      const read = await Promise.race([reader.read(), action.over]);
      if (read === undefined || !action.alive) break;
      if (read.done) {
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
