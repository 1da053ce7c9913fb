/**
 * Stand-ins for two things that an app's tests cannot rely on: a model and a network.
 * They run wherever `fetch` does.
 */
import { pause } from "../time.js";

/** A function like `fetch`. */
export type FetchFunction = (
  input: string | URL | Request,
  init?: RequestInit,
) => Promise<Response>;

/** Options of `fakeModel`. Times are in ms. */
export type FakeModelOptions = {
  /** How long the model thinks before its first token. Default: 0. */
  firstTokenMs?: number | undefined;
  /** How long each further token takes. Default: 0. */
  tokenMs?: number | undefined;
  /** The length of a token (UTF-16 code units). Default: 4. */
  tokenChars?: number | undefined;
  /** Breaks the connection after this many tokens. */
  failAfterTokens?: number | undefined;
  /** Refuses each request with this HTTP status, such as 429. */
  status?: number | undefined;
};

/**
 * A model with a fixed reply: a `fetch` that answers like an OpenAI-compatible API,
 * token by token if the request asks for that.
 *
 * ```ts
 * const openai = new OpenAI({ apiKey: "none", fetch: fakeModel("Hello there.") });
 * ```
 *
 * @param text The reply.
 */
export function fakeModel(
  text: string,
  options: FakeModelOptions = {},
): FetchFunction {
  if (typeof text !== "string") {
    throw new TypeError(
      `fakeModel(text) needs a string, the model's reply, not ${typeof text}.`,
    );
  }
  const { status, tokenChars = 4, failAfterTokens = Infinity } = options;
  checkNumbers("fakeModel", { ...options });
  return async (input, init) => {
    const request = new Request(input, init);
    if (status !== undefined) {
      return answer({ error: { message: "Not now.", code: status } }, status);
    }
    if (!new URL(request.url).pathname.endsWith("/chat/completions")) {
      const message = "This model answers POST …/chat/completions only.";
      return answer({ error: { message } }, 404);
    }
    const asked = (await request.json()) as {
      model?: string;
      stream?: boolean;
      stream_options?: { include_usage?: boolean };
    };
    const tokens = [...tokensOf(text, tokenChars)];
    const common = { id: "fake", created: 0, model: asked.model ?? "fake" };
    const usage = {
      prompt_tokens: 1,
      completion_tokens: tokens.length,
      total_tokens: tokens.length + 1,
    };
    if (asked.stream !== true) {
      await pause(options.firstTokenMs ?? 0, request.signal);
      const message = { role: "assistant", content: text };
      const choices = [{ index: 0, message, finish_reason: "stop" }];
      return answer({ ...common, object: "chat.completion", choices, usage });
    }
    async function* events() {
      const object = "chat.completion.chunk";
      const say = (delta: object, finish_reason: string | null = null) => ({
        ...common,
        object,
        choices: [{ index: 0, delta, finish_reason }],
      });
      for (const [i, content] of tokens.entries()) {
        if (i === failAfterTokens) throw new TypeError("terminated");
        await pause(
          (i === 0 ? options.firstTokenMs : options.tokenMs) ?? 0,
          request.signal,
        );
        yield event(
          say(i === 0 ? { role: "assistant", content } : { content }),
        );
      }
      yield event(say({}, "stop"));
      if (asked.stream_options?.include_usage) {
        yield event({ ...common, object, choices: [], usage });
      }
      yield "data: [DONE]\n\n";
    }
    return new Response(bodyOf(events(), request.signal), {
      headers: { "Content-Type": "text/event-stream" },
    });
  };
}

/** Options of `faultyFetch`. The chances are from 0 to 1, for each request. */
export type FaultyFetchOptions = {
  /** Decides what goes wrong. The same seed and requests lead to the same faults. */
  seed: number;
  /** The chance that the request or its response is lost. Default: 0.15. */
  lose?: number | undefined;
  /** The chance that a server in between answers 503. Default: 0.15. */
  refuse?: number | undefined;
  /** The chance that the connection breaks during the response. Default: 0.15. */
  cut?: number | undefined;
  /** The chance that a proxy holds the response back until it is complete. Default: 0.15. */
  buffer?: number | undefined;
  /** The chance that the request and each piece of the response are late. Default: 0.3. */
  delay?: number | undefined;
  /** The longest delay (ms). Default: 50. */
  maxDelayMs?: number | undefined;
};

/**
 * A bad network: forwards requests to a `fetch`, and loses, refuses, cuts, buffers or
 * delays some of them.
 *
 * ```ts
 * const text = readStream(url, { streamId, fetch: faultyFetch(fetch, { seed: 7 }) });
 * ```
 *
 * @param fetch Answers the requests that arrive.
 */
export function faultyFetch(
  fetch: FetchFunction,
  options: FaultyFetchOptions,
): FetchFunction {
  if (typeof fetch !== "function" || typeof options?.seed !== "number") {
    throw new TypeError(
      "faultyFetch(fetch, { seed }) takes a function that does what fetch does, and a number that decides what goes wrong.",
    );
  }
  checkNumbers("faultyFetch", { ...options });
  const { lose, refuse, cut, buffer, delay, maxDelayMs = 50 } = options;
  const random = randomNumbers(options.seed);
  const happens = (chance = 0.15) => random() < chance;
  return async (input, init) => {
    // Drawn for each request, so that one fault does not shift the next.
    const is = {
      lost: happens(lose),
      answerLost: random() < 0.5,
      refused: happens(refuse),
      cut: happens(cut),
      buffered: happens(buffer),
      late: happens(delay ?? 0.3),
    };
    const wait = async (signal?: AbortSignal | null) => {
      if (is.late) await pause(random() * maxDelayMs, signal ?? undefined);
    };
    const { signal } = init ?? {};
    await wait(signal);
    if (is.lost && !is.answerLost) throw new TypeError("Failed to fetch");
    if (is.refused) {
      return answer({ error: "Service unavailable" }, 503, {
        "Retry-After": "0",
      });
    }
    const response = await fetch(input, init);
    if (is.lost) {
      await response.body?.cancel();
      throw new TypeError("Failed to fetch");
    }
    const { body, status, statusText, headers } = response;
    if (body === null) return response;
    const passed = is.cut ? Math.floor(random() * 1000) : Infinity;
    async function* pieces() {
      let left = passed;
      const held: Uint8Array[] = [];
      for await (const piece of piecesOf(body as ReadableStream<Uint8Array>)) {
        await wait(signal);
        const rest = piece.subarray(0, left);
        left -= rest.length;
        if (is.buffered) held.push(rest);
        else yield rest;
        if (left <= 0) throw new TypeError("network error");
      }
      yield* held;
    }
    return new Response(bodyOf(pieces(), signal), {
      status,
      statusText,
      headers,
    });
  };
}

function answer(
  json: unknown,
  status = 200,
  headers: Record<string, string> = {},
): Response {
  return new Response(JSON.stringify(json), {
    status,
    headers: { "Content-Type": "application/json", ...headers },
  });
}

function event(data: unknown): string {
  return `data: ${JSON.stringify(data)}\n\n`;
}

/** Cuts text into pieces at whole characters. */
function* tokensOf(text: string, length: number): Generator<string> {
  let token = "";
  for (const character of text) {
    token += character;
    if (token.length < length) continue;
    yield token;
    token = "";
  }
  if (token !== "") yield token;
}

/** A body with these pieces, one per read. It breaks off if they throw, or the signal fires. */
function bodyOf(
  pieces: AsyncGenerator<string | Uint8Array>,
  signal: AbortSignal | null | undefined,
): ReadableStream<Uint8Array> {
  const encoder = new TextEncoder();
  return new ReadableStream({
    async pull(controller) {
      const next = await pieces.next();
      if (signal?.aborted) {
        throw new DOMException("The request was aborted.", "AbortError");
      }
      if (next.done) controller.close();
      else {
        const { value } = next;
        controller.enqueue(
          typeof value === "string" ? encoder.encode(value) : value,
        );
      }
    },
    async cancel() {
      await pieces.return(undefined);
    },
  });
}

async function* piecesOf(
  body: ReadableStream<Uint8Array>,
): AsyncGenerator<Uint8Array, void> {
  const reader = body.getReader();
  let whole = false;
  try {
    for (;;) {
      const { done, value } = await reader.read();
      whole = done;
      if (done) return;
      yield value;
    }
  } finally {
    if (!whole) await reader.cancel();
  }
}

/** Pseudorandom numbers from 0 to 1 (mulberry32). */
function randomNumbers(seed: number): () => number {
  let state = seed | 0;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

function checkNumbers(what: string, options: Record<string, unknown>): void {
  for (const [name, value] of Object.entries(options)) {
    if (value === undefined || (typeof value === "number" && value >= 0)) {
      continue;
    }
    if (name === "seed" && typeof value === "number") continue;
    throw new TypeError(
      `The option ${name} of ${what}() must be a number of 0 or more; it is ${typeof value === "number" ? value : typeof value}.`,
    );
  }
}
