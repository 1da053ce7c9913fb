import type { Action } from "./action.js";
import type { Deployment } from "./lab-backend.js";
import type { ConnectionPlan } from "./schedule.js";

/** What an action sent as its response, whether or not it arrived. */
export class Sent {
  text = "";
  /** Whether the action closed the body. */
  closed = false;
  /** Whether the platform gave the body up because the client had left. */
  cancelled = false;
  /** The status of the response; null before there is one. */
  status: number | null = null;
}

/** What `fetch` says when a connection fails. */
export const failedToFetch = () => new TypeError("Failed to fetch");

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
  { clock, happenings }: Pick<Deployment, "clock" | "happenings">,
  action: Action,
  connection: ConnectionPlan,
  request: { url: string; method: string; signal: AbortSignal | null },
  handler: (ctx: Deployment["app"], request: Request) => Promise<Response>,
  sent = new Sent(),
): Promise<Response> {
  const { url, method } = request;
  const client = new AbortController();
  let hasLeft = false;
  let reading: ReadableStreamDefaultReader<Uint8Array> | null = null;
  const leave = () => {
    if (hasLeft) return;
    hasLeft = true;
    if (connection.noticed === "not" || sent.closed || !action.alive) return;
    happenings.add("client gone");
    client.abort();
    if (connection.noticed === "cancel" && reading !== null) {
      sent.cancelled = true;
      reading.cancel().catch(() => {});
    }
  };
  request.signal?.addEventListener("abort", leave);
  if (connection.leavesAt !== null) {
    void clock.wait(connection.leavesAt).then(() => reading ?? leave());
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
  const isLost = connection.answer === "lost";
  if (isLost) happenings.add("answer of a request lost");
  const { body } = response;
  if (body === null) {
    action.end();
    if (isLost) throw failedToFetch();
    return response;
  }
  if (client.signal.aborted) {
    // Sending the head fails, which ends the action.
    happenings.add("client gone before the head");
    sent.cancelled = true;
    action.end();
    throw failedToFetch();
  }
  const source = (reading = body.getReader());
  let toClient!: ReadableStreamDefaultController<Uint8Array>;
  const received = new ReadableStream<Uint8Array>({
    start: (controller) => void (toClient = controller),
    cancel: leave,
  });
  const { cutAfter, as } = connection;
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
      const read = await Promise.race([source.read(), action.over]);
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
  if (connection.answer === "lost") throw failedToFetch();
  // Meanwhile everything the action sends is read.
  await clock.wait(connection.answer);
  return new Response(received, response);
}

/** A response whose body fails when its request is aborted, as with `fetch`. */
export function untilAborted(
  response: Response,
  signal: AbortSignal | null,
): Response {
  if (response.body === null || !signal) return response;
  const reader = response.body.getReader();
  const body = new ReadableStream<Uint8Array>({
    start(controller) {
      signal.addEventListener("abort", () => {
        controller.error(new DOMException("Aborted.", "AbortError"));
        reader.cancel().catch(() => {});
      });
    },
    async pull(controller) {
      const { done, value } = await reader.read();
      if (signal.aborted) return;
      if (done) controller.close();
      else controller.enqueue(value);
    },
    cancel: () => reader.cancel(),
  });
  return new Response(body, response);
}
