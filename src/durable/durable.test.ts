import { afterEach, describe, expect, test, vi } from "vitest";
import type { StreamId } from "../client/index.js";
import {
  deferred,
  pass,
  settled,
  until,
  useClock,
} from "../../test/support/clock.js";
import { readBody, setUpStream, textOf } from "../../test/support/setup.js";
import { story } from "../../test/support/story.js";
import { serveDurableStream } from "./index.js";

useClock();
afterEach(() => vi.restoreAllMocks());

const offset = (n: number) => String(n).padStart(16, "0");
const events = "?offset=-1&live=sse";
const poll = (from = 0) => `?offset=${offset(from)}&live=long-poll`;

/** An app that serves its stream. */
async function serving() {
  const app = await setUpStream();
  const { streaming, act } = app;
  const onRead = vi.fn<() => void>();

  /** A request for the stream, or for another. `onRead` is called for each read. */
  const ask = (
    query = "",
    {
      contentType,
      id = app.streamId,
      ...init
    }: RequestInit & { contentType?: string; id?: string } = {},
  ) =>
    act((ctx) =>
      serveDurableStream(
        streaming,
        {
          runQuery: (reference, ...args) => {
            onRead();
            return ctx.runQuery(reference, ...args);
          },
        },
        new Request(`https://app.test/streams/${id}${query}`, init),
        id as StreamId,
        { contentType },
      ),
    );
  return { ...app, ask, onRead };
}

type App = Awaited<ReturnType<typeof serving>>;

/** A stream that the test writes. */
async function growing() {
  const app = await serving();
  const { resolve: end, promise: ended } = deferred();
  let append!: (text: string) => Promise<void>;
  const generating = app.generate(async (appendText) => {
    append = appendText;
    await ended;
  });
  await until(() => append !== undefined);
  return {
    ...app,
    /** Appends a sentence and waits until it is saved. */
    say: async (text: string) => {
      await append(text);
      await pass(1000);
    },
    end: async () => {
      end();
      await settled(generating);
    },
  };
}

/** What a reply says of the stream. */
const positionOf = ({ status, headers }: Response) => ({
  status,
  next: headers.get("Stream-Next-Offset"),
  upToDate: headers.get("Stream-Up-To-Date"),
  closed: headers.get("Stream-Closed"),
});

/** The text in events, and the positions they reported. Anything that is not a field of an event is an error. */
function receivedIn(text: string) {
  const data: string[] = [];
  const controls: Record<string, unknown>[] = [];
  const blocks = text.split("\n\n");
  expect(blocks.pop()).toBe("");
  for (const [name, ...lines] of blocks.map((block) => block.split("\n"))) {
    for (const line of lines) expect(line).toMatch(/^data:/);
    const value = lines.map((line) => line.replace(/^data: ?/, "")).join("\n");
    if (name === "event: data") data.push(value);
    else controls.push(JSON.parse(value) as Record<string, unknown>);
  }
  return { data, controls };
}

// The published suite of the protocol checks what it asks for: see test/conformance.
// These tests check the rest.

describe("catching up", () => {
  test("returns the saved text from an offset on, and none from one that is ahead of it", async () => {
    const { say, end, ask } = await growing();
    const readFrom = async (from: number) => {
      const response = await ask(`?offset=${offset(from)}`);
      return [await textOf(response), positionOf(response)];
    };
    await say("Some 😀 text. ");
    const open = { status: 200, upToDate: "true", closed: null };
    expect(await readFrom(8)).toEqual([
      "text. ",
      { ...open, next: offset(14) },
    ]);
    expect(await readFrom(16)).toEqual(["", { ...open, next: offset(16) }]);
    await say("More. ");
    await end();
    const closed = { ...open, next: offset(20), closed: "true" };
    expect(await readFrom(16)).toEqual(["re. ", closed]);
  });

  test("takes pages, of which only the last is up to date", async () => {
    const { ask, write } = await serving();
    const text = story(90_000) + "中".repeat(1_200_000);
    await write(text);
    let query = "";
    let read = "";
    const states: (string | null)[] = [];
    do {
      const response = await ask(query);
      const { next, upToDate, closed } = positionOf(response);
      read += await textOf(response);
      expect(next).toBe(offset(read.length));
      expect(closed).toBe(upToDate);
      states.push(upToDate);
      query = `?offset=${next}`;
    } while (states.at(-1) === null);
    expect(read === text).toBe(true);
    expect(states.length).toBeGreaterThan(1);
  });

  test("a page may come from the reader's cache if nothing has changed", async () => {
    const { say, end, ask } = await growing();
    await say("One. ");
    const first = await ask();
    expect(first.headers.get("Cache-Control")).toBe("private, no-cache");
    const tag = first.headers.get("ETag") ?? "";
    const again = (etag: string) =>
      ask("", { headers: { "If-None-Match": etag } });
    for (const etag of [tag, `W/${tag}`, `"other", ${tag}`, "*"]) {
      const response = await again(etag);
      const position = { ...positionOf(first), status: 304 };
      expect(positionOf(response)).toEqual(position);
      expect(response.body).toBeNull();
    }
    expect((await again('"other"')).status).toBe(200);
    // The same text, but now it is complete.
    await end();
    const closed = await again(tag);
    expect(positionOf(closed)).toMatchObject({ status: 200, closed: "true" });
    expect(closed.headers.get("ETag")).not.toBe(tag);
  });
});

describe("every kind of answer", () => {
  const away = { id: "none" };
  const HEAD = { method: "HEAD" };
  test.each<[number, string, Parameters<App["ask"]>[1]?]>([
    [200, ""],
    [200, poll()],
    [204, poll(5)],
    [200, events],
    [200, "", HEAD],
    [304, "", { headers: { "If-None-Match": "*" } }],
    [400, "?offset=-2"],
    [400, "?offset=Now"],
    [400, "?offset=9007199254740993"],
    [400, "?offset=1&offset=2"],
    [400, "?live=sse"],
    [400, "?offset=-1&live=auto"],
    [404, "", away],
    [404, "", { id: "" }],
    [404, "?offset=now", away],
    [404, poll(), away],
    [404, events, { id: "\ud83d" }],
    [404, "", { ...HEAD, ...away }],
    [405, "", { method: "PUT" }],
    [405, "", { method: "POST" }],
    [405, "", { method: "DELETE" }],
  ])(
    "%d for %j %j is private, and exposes its headers to pages",
    async (status, query, init) => {
      const { ask, write } = await serving();
      await write("Text.");
      const response = await ask(query, init);
      expect(response.status).toBe(status);
      const { headers } = response;
      expect(headers.get("Cache-Control")).toMatch(/^private, no-/);
      expect(headers.get("X-Content-Type-Options")).toBe("nosniff");
      expect(headers.get("Cross-Origin-Resource-Policy")).toBe("same-origin");
      expect(headers.get("Access-Control-Expose-Headers")).toBe(
        "Stream-Up-To-Date, Stream-Cursor, Stream-SSE-Data-Encoding, Stream-Next-Offset, Stream-Closed, Stream-Status, ETag",
      );
      expect(headers.get("Allow")).toBe(status === 405 ? "GET, HEAD" : null);
      if (status !== 400) return;
      expect(await response.json()).toEqual({
        error: expect.stringMatching(/^(The parameter|With live=)/) as string,
      });
    },
  );

  test.each(["application/json", "text/event-stream; charset=utf-8"])(
    "but none for the content type %s, which is not text to the protocol",
    async (contentType) => {
      const { ask } = await serving();
      await expect(ask("", { contentType })).rejects.toThrow(TypeError);
    },
  );
});

test.each([poll(), events])(
  "%j ends when its client leaves, and when the stream is deleted",
  async (query) => {
    const { remove, ask, onRead } = await serving();
    const read = (init = {}) => ask(query, init).then(textOf);
    const client = new AbortController();
    const left = read({ signal: client.signal });
    await pass(5000);
    client.abort();
    await settled(left);
    const { length } = onRead.mock.calls;
    await pass(20_000);
    expect(onRead).toHaveBeenCalledTimes(length);
    const asked = read();
    await pass(5000);
    await remove();
    await settled(asked);
    expect((await ask(query)).status).toBe(404);
  },
);

describe("events", () => {
  test("end after a minute, and go on with the next request", async () => {
    const { say, end, ask } = await growing();
    const { seen } = readBody(await ask(events));
    for (let i = 0; i < 59; i++) await say(`${i}. `);
    expect(seen.closed).toBe(false);
    for (let i = 59; i < 64; i++) await say(`${i}. `);
    expect(seen.closed).toBe(true);
    const first = receivedIn(seen.text);
    const { streamNextOffset, streamCursor } = first.controls.at(-1) ?? {};
    const rest = readBody(
      await ask(
        `?offset=${String(streamNextOffset)}&live=sse&cursor=${String(streamCursor)}`,
      ),
    );
    await end();
    const second = receivedIn(await rest.seen.end());
    expect([...first.data, ...second.data].join("")).toBe(
      Array.from({ length: 64 }, (_, i) => `${i}. `).join(""),
    );
    const cursors = [...first.controls, ...second.controls.slice(0, -1)].map(
      (control) => Number(control.streamCursor),
    );
    expect(cursors).toEqual([...new Set(cursors)].sort((a, b) => a - b));
  });

  test.each([
    "a\r\n\r\nevent: control\ndata: {}\r\rb",
    "  two blanks\n at the beginning",
    "\n",
    "\n\n\n",
    "a line\n",
    ":comment\nid: 7\nretry: 1\n",
    "\uFEFFa\u0000b\u2028c\u0085d",
  ])("carry the text %j as it is, with its line breaks as LF", async (text) => {
    const { ask, write } = await serving();
    await write(text);
    const { data, controls } = receivedIn(await textOf(await ask(events)));
    expect(data).toEqual([text.replace(/\r\n?/g, "\n")]);
    expect(controls).toHaveLength(1);
  });

  test("do not turn one line break, saved in two parts, into two", async () => {
    const { say, end, ask } = await growing();
    await say("One.\r");
    const { seen } = readBody(await ask(events));
    await pass(1000);
    // The offset is behind what was sent.
    expect(receivedIn(seen.text)).toMatchObject({
      data: ["One."],
      controls: [{ streamNextOffset: offset(4) }],
    });
    await say("\nTwo.\r");
    await say("Three.\r");
    await end();
    const { data, controls } = receivedIn(await seen.end());
    expect(data.join("")).toBe("One.\nTwo.\nThree.\n");
    expect(controls.at(-1)).toMatchObject({
      streamNextOffset: offset(18),
      streamClosed: true,
    });
  });

  test("carry types other than text/… in base64, unchanged", async () => {
    const { ask, write } = await serving();
    const text = '{"a":"😀"}\r\n\r{"b":" "}\r';
    await write(text);
    const contentType = "application/x-ndjson";
    const response = await ask(events, { contentType });
    expect(response.headers.get("Stream-SSE-Data-Encoding")).toBe("base64");
    const { data, controls } = receivedIn(await textOf(response));
    const bytes = Uint8Array.from(atob(data.join("")), (c) => c.charCodeAt(0));
    expect(new TextDecoder().decode(bytes)).toBe(text);
    expect(controls.at(-1)).toMatchObject({ streamClosed: true });
    const page = await ask("", { contentType });
    expect(page.headers.get("Content-Type")).toBe(contentType);
    expect(await textOf(page)).toBe(text);
  });

  test("of a long text are many, each with its offset, and end long before a response is full", async () => {
    const { ask, write } = await serving();
    // Neither 😀 nor CR LF are cut where an event is full.
    const edge = 64 * 1024 - 1;
    const edges = `${"x".repeat(edge)}\r\n${"x".repeat(edge - 2)}😀`;
    const text = edges + `${"中".repeat(20)}😀\r\n`.repeat(200_000);
    await write(text);
    let query = events;
    let received = "";
    let responses = 0;
    for (let closed = false; !closed; responses++) {
      const body = await textOf(await ask(query));
      expect(new TextEncoder().encode(body).length).toBeLessThan(20 << 20);
      const { data, controls } = receivedIn(body);
      expect(data).toHaveLength(controls.length);
      expect(Math.max(...data.map((each) => each.length))).toBeLessThanOrEqual(
        64 * 1024,
      );
      received += data.join("");
      const last = controls.at(-1);
      query = `?offset=${String(last?.streamNextOffset)}&live=sse`;
      closed = last?.streamClosed === true;
    }
    expect(received === text.replaceAll("\r\n", "\n")).toBe(true);
    expect(responses).toBe(3);
  }, 30_000);

  test("of a stream that is aborted bring the last words before the end", async () => {
    const { say, ask, abort, body } = await growing();
    const { seen } = readBody(await ask(events));
    await say("One. ");
    await say("Half a sent");
    expect(positionOf(await ask())).toMatchObject({
      next: offset(16),
      closed: null,
    });
    await abort();
    const { data, controls } = receivedIn(await seen.end());
    expect(data.join("")).toBe((await body()).text);
    expect(controls.at(-1)).toMatchObject({ streamClosed: true });
  });
});
