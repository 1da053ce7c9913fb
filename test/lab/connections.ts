import type { Action } from "./action.js";
import type { Deployment } from "./lab-backend.js";
import type { ConnectionPlan } from "./schedule.js";

/** What an action sent as the body of its response, whoever was there to read it. */
export interface Sent {
  text: string;
  /** Whether it closed the body. */
  closed: boolean;
  /** Whether the platform gave the body up because the client had gone. */
  cancelled: boolean;
  /** The status of the response; null while there is none. */
  status: number | null;
}

export const nothingSent = (): Sent => ({
  text: "",
  closed: false,
  cancelled: false,
  status: null,
});

/**
 * Answers a request by an action, over a connection.
 *
 * As on a deployment, the action ends when its body does; if it dies, the body
 * ends as if that were all. What the action sends is read at once, and nothing
 * but the request's signal tells that the client has gone.
 *
 * @throws TypeError, as `fetch` does, if the action dies before it answers.
 */
export async function serve(
  { clock, happenings }: Deployment,
  action: Action,
  connection: ConnectionPlan,
  request: { url: string; method?: string; signal?: AbortSignal | null },
  handler: (ctx: Deployment["app"], request: Request) => Promise<Response>,
  sent: Sent = nothingSent(),
): Promise<Response> {
  const { url, method = "GET" } = request;
  const client = new AbortController();
  let gone = false;
  let body: ReadableStreamDefaultReader<Uint8Array> | null = null;
  const leave = () => {
    if (gone) return;
    gone = true;
    if (connection.noticed === "not" || sent.closed || !action.alive) return;
    happenings.add("client gone");
    client.abort();
    if (connection.noticed === "cancel" && body !== null) {
      sent.cancelled = true;
      body.cancel().catch(() => {});
    }
  };
  request.signal?.addEventListener("abort", leave);
  if (connection.leavesAt !== null) {
    void clock.wait(connection.leavesAt).then(() => body ?? leave());
  }
  const answered = action
    .run((ctx) =>
      handler(ctx, new Request(url, { method, signal: client.signal })),
    )
    // What an action throws is the platform's to answer.
    .catch(() => new Response(null, { status: 500 }));
  const response = await Promise.race([answered, action.over]);
  if (response === undefined) throw new TypeError("Failed to fetch");
  sent.status = response.status;
  const { answer } = connection;
  if (answer === "lost") happenings.add("answer of a request lost");
  if (response.body === null) {
    action.end();
    if (answer === "lost") throw new TypeError("Failed to fetch");
    return response;
  }

  if (client.signal.aborted) {
    // Sending the head fails, and that ends the action.
    happenings.add("client gone before the head");
    sent.cancelled = true;
    action.end();
    throw new TypeError("Failed to fetch");
  }
  const reading = response.body.getReader();
  body = reading;
  let toClient!: ReadableStreamDefaultController<Uint8Array>;
  const received = new ReadableStream<Uint8Array>({
    start: (controller) => void (toClient = controller),
    cancel: leave,
  });
  const { cutAfter, as } = connection;
  let bytes = 0;
  const deliver = (piece: Uint8Array) => {
    if (gone) return;
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
    gone = true;
  };

  const pump = async () => {
    const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
    for (;;) {
      const read = await Promise.race([reading.read(), action.over]);
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
    if (!gone) toClient.close();
  };
  if (answer === "lost") {
    leave();
    gone = true;
  }
  void clock.asNobody(pump);
  if (answer === "lost") throw new TypeError("Failed to fetch");
  // What the action sends is read meanwhile.
  await clock.wait(answer);
  return new Response(received, response);
}
