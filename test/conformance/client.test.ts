import { stream, type LiveMode } from "@durable-streams/client";
import { expect, inject, test } from "vitest";
import { story } from "../support/story.js";

const site = inject("conformanceUrl");

async function write(url: string, method: "PUT" | "POST", body: string) {
  const response = await fetch(url, {
    method,
    headers: { "Content-Type": "text/plain" },
    body,
  });
  expect(response.ok).toBe(true);
}

/** `fetch` over a network that cuts the first `cuts` live responses, before they are read or half way. */
function cutting(cuts: number) {
  let live = 0;
  const cut: typeof fetch = async (input, init) => {
    const response = await fetch(input, init);
    const isLive = new URL(input as string).searchParams.has("live");
    if (!isLive || live++ >= cuts) return response;
    if (live % 2 === 1) {
      await response.body?.cancel();
      throw new TypeError("The connection was cut.");
    }
    // As when an action is killed: the body ends as if it were complete.
    return new Response(response.body && firstPiece(response.body), response);
  };
  return { fetch: cut, cutSoFar: () => Math.min(live, cuts) };
}

function firstPiece(body: ReadableStream<Uint8Array>) {
  const reader = body.getReader();
  return new ReadableStream<Uint8Array>({
    async pull(controller) {
      const { value } = await reader.read();
      if (value !== undefined) controller.enqueue(value);
      controller.close();
      await reader.cancel();
    },
  });
}

test.for<LiveMode>([true, "long-poll", "sse"])(
  "the published client reads a growing stream to its end, through cut connections: live %j",
  async (live, { expect }) => {
    const url = `${site}/v1/stream/client-${String(live)}`;
    const text = story(20);
    await write(url, "PUT", "");
    const network = cutting(3);
    const reading = await stream({
      url,
      offset: "-1",
      live,
      fetch: network.fetch,
    });
    let read = "";
    reading.subscribeText(({ text }) => {
      read += text;
    });
    // Each sentence is written after the previous one has been read.
    let written = "";
    for (const sentence of text.split(/(?<=\. )/)) {
      await write(url, "POST", sentence);
      written += sentence;
      await expect.poll(() => read, { timeout: 20_000 }).toBe(written);
    }
    await fetch(url, { method: "POST", headers: { "Stream-Closed": "true" } });
    await reading.closed;
    expect(read).toBe(written);
    expect(reading.streamClosed).toBe(true);
    expect(network.cutSoFar()).toBe(3);
  },
);
