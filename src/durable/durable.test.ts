import { afterEach, describe, expect, test, vi } from "vitest";
import type { StreamId } from "../client/index.js";
import {
  deferred,
  pass,
  settled,
  until,
  useClock,
} from "../../test/support/clock.js";
import {
  errorsLogged,
  readBody,
  setUp,
  textOf,
  writes,
  type ActionCtx,
} from "../../test/support/setup.js";
import { story } from "../../test/support/story.js";
import { serveDurableStream } from "./index.js";

useClock();
afterEach(() => vi.restoreAllMocks());

const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));
const offset = (n: number) => String(n).padStart(16, "0");

/** An app that serves its streams. */
function serving() {
  const app = setUp();
  const { streaming, act } = app;
  const runQuery = vi.fn<(ctx: ActionCtx) => void>();

  /** A request for a stream; `runQuery` is told of each read. */
  const ask = (
    streamId: string,
    query = "",
    { contentType, ...init }: RequestInit & { contentType?: string } = {},
  ) =>
    act((ctx) =>
      serveDurableStream(
        streaming,
        {
          runQuery: (reference, ...args) => {
            runQuery(ctx);
            return ctx.runQuery(reference, ...args);
          },
        },
        new Request(`https://app.test/streams/${streamId}${query}`, init),
        streamId as StreamId,
        { contentType },
      ),
    );

  /** A stream that is written to the end. */
  const written = async (...texts: string[]) => {
    const streamId = await app.create();
    await settled(app.generate(streamId, writes(...texts)));
    return streamId;
  };

  /** A stream that is written as the test says. */
  const growing = async () => {
    const streamId = await app.create();
    const { resolve: end, promise: ended } = deferred();
    let append!: (text: string) => Promise<void>;
    const generating = app.generate(streamId, async (appendText) => {
      append = appendText;
      await ended;
    });
    await until(() => append !== undefined);
    return {
      streamId,
      /** Appends a sentence and sees it saved. */
      say: async (text: string) => {
        await append(text);
        await pass(1000);
      },
      end: async () => {
        end();
        await settled(generating);
      },
    };
  };
  return {
    ...app,
    ask,
    written,
    growing,
    reads: () => runQuery.mock.calls.length,
  };
}

/** What a reply says of the stream. */
const positionOf = ({ status, headers }: Response) => ({
  status,
  next: headers.get("Stream-Next-Offset"),
  upToDate: headers.get("Stream-Up-To-Date"),
  closed: headers.get("Stream-Closed"),
});

/** Reads events as a browser does, strictly: what is no field of an event is an error. */
function eventsOf(text: string) {
  const blocks = text.split("\n\n");
  expect(blocks.pop()).toBe("");
  return blocks.map((block) => {
    const [name, ...lines] = block.split("\n");
    const data = lines.map((line) => {
      if (!line.startsWith("data:")) throw new Error(`No data: ${line}`);
      return line.slice("data:".length).replace(/^ /, "");
    });
    return { event: name?.replace(/^event: /, ""), data: data.join("\n") };
  });
}

/** The text in events, as they were, and the last thing they said. */
function receivedIn(text: string) {
  const events = eventsOf(text);
  const data = events.filter(({ event }) => event === "data");
  const controls = events
    .filter(({ event }) => event === "control")
    .map(({ data }) => JSON.parse(data) as Record<string, unknown>);
  return { data: data.map((each) => each.data), controls };
}

// The published suite of the protocol holds what it asks for: see test/conformance.
// Here is what it does not know.

describe("catching up", () => {
  test("returns the saved text from an offset on, and where it ends", async () => {
    const { growing, ask } = serving();
    const { streamId, say, end } = await growing();
    await say("Some 😀 text. ");
    const response = await ask(streamId, `?offset=${offset(8)}`);
    expect(positionOf(response)).toEqual({
      status: 200,
      next: offset(14),
      upToDate: "true",
      closed: null,
    });
    expect(response.headers.get("Stream-Status")).toBe("streaming");
    expect(response.headers.get("Content-Type")).toBe(
      "text/plain; charset=utf-8",
    );
    expect(await textOf(response)).toBe("text. ");
    await say("More. ");
    await end();
    const rest = await ask(streamId, `?offset=${offset(14)}`);
    expect(positionOf(rest)).toMatchObject({
      next: offset(20),
      closed: "true",
    });
    expect(await textOf(rest)).toBe("More. ");
  });

  test("goes in pages, and only the last is up to date", async () => {
    const { ask, written } = serving();
    const text = story(90_000) + "中".repeat(1_200_000);
    const streamId = await written(text);
    let query = "";
    let read = "";
    const states: (string | null)[] = [];
    do {
      const response = await ask(streamId, query);
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
    const { growing, ask } = serving();
    const { streamId, say, end } = await growing();
    await say("One. ");
    const first = await ask(streamId);
    expect(first.headers.get("Cache-Control")).toBe("private, no-cache");
    const tag = first.headers.get("ETag") ?? "";
    const again = (etag: string) =>
      ask(streamId, "", { headers: { "If-None-Match": etag } });
    for (const etag of [tag, `W/${tag}`, `"other", ${tag}`, "*"]) {
      const response = await again(etag);
      expect(positionOf(response)).toEqual({
        ...positionOf(first),
        status: 304,
      });
      expect(response.body).toBeNull();
    }
    expect((await again('"other"')).status).toBe(200);
    // The same text, but now it is all there will be.
    await end();
    const closed = await again(tag);
    expect(positionOf(closed)).toMatchObject({ status: 200, closed: "true" });
    const tags = [tag, closed.headers.get("ETag")];
    expect(new Set(tags).size).toBe(2);
  });

  test("an offset beyond the saved text is empty, not an error: a driving client is ahead", async () => {
    const { growing, ask } = serving();
    const { streamId, say, end } = await growing();
    await say("0123. ");
    const response = await ask(streamId, `?offset=${offset(8)}`);
    expect(positionOf(response)).toMatchObject({ next: offset(8) });
    expect(await textOf(response)).toBe("");
    await say("6789. ");
    const rest = await ask(streamId, `?offset=${offset(8)}`);
    expect(await textOf(rest)).toBe("89. ");
    await end();
  });
});

describe("refuses", () => {
  test.each(["PUT", "POST", "DELETE", "PATCH"])(
    "%s, and says what there is",
    async (method) => {
      const { ask, create } = serving();
      const response = await ask(await create(), "", { method });
      expect(response.status).toBe(405);
      expect(response.headers.get("Allow")).toBe("GET, HEAD");
    },
  );

  test.each([
    "?offset=",
    "?offset=1,2",
    "?offset=1&offset=2",
    "?offset=-2",
    "?offset=Now",
    "?offset=9007199254740993",
    "?live=sse",
    "?live=long-poll",
    "?offset=-1&live=auto",
  ])("%j with a 400 that says why", async (query) => {
    const { ask, create } = serving();
    const response = await ask(await create(), query);
    expect(response.status).toBe(400);
    expect(await response.json()).toEqual({
      error: expect.stringMatching(/^(The parameter|With live=)/) as string,
    });
  });

  test.each([
    "",
    "?offset=now",
    "?offset=now&live=sse",
    "?offset=-1&live=long-poll",
    "?offset=-1&live=sse",
  ])("a stream that is not there, at %j, with a 404", async (query) => {
    const { ask, create, remove } = serving();
    const streamId = await create();
    await remove(streamId);
    for (const id of [streamId, "none", ""]) {
      expect((await ask(id, query)).status).toBe(404);
    }
    expect((await ask(streamId, query, { method: "HEAD" })).status).toBe(404);
  });

  test.each(["application/json", "text/event-stream; charset=utf-8"])(
    "the content type %s, which is not text to the protocol",
    async (contentType) => {
      const { ask, create } = serving();
      const asked = ask(await create(), "", { contentType });
      await expect(asked).rejects.toThrow(TypeError);
    },
  );
});

test("every reply is private, is no page and no script, and lets pages see what it says", async () => {
  const { ask, written } = serving();
  const streamId = await written("Text.");
  const { headers } = await ask(streamId);
  const tag = { "If-None-Match": headers.get("ETag") ?? "" };
  const replies = [
    await ask(streamId),
    await ask(streamId, "", { headers: tag }),
    await ask(streamId, "?offset=now"),
    await ask(streamId, "?offset=-1&live=long-poll"),
    await ask(streamId, `?offset=${offset(5)}&live=long-poll`),
    await ask(streamId, "?offset=-1&live=sse"),
    await ask(streamId, "", { method: "HEAD" }),
    await ask("none"),
    await ask(streamId, "?offset=x"),
    await ask(streamId, "", { method: "POST" }),
  ];
  expect(replies.map(({ status }) => status)).toEqual([
    200, 304, 200, 200, 204, 200, 200, 404, 400, 405,
  ]);
  for (const { headers } of replies) {
    expect(headers.get("Cache-Control")).toMatch(/^private, no-/);
    expect(headers.get("X-Content-Type-Options")).toBe("nosniff");
    expect(headers.get("Cross-Origin-Resource-Policy")).toBe("same-origin");
    expect(headers.get("Access-Control-Expose-Headers")).toBe(
      "Stream-Up-To-Date, Stream-Cursor, Stream-SSE-Data-Encoding, Stream-Next-Offset, Stream-Closed, Stream-Status, ETag",
    );
  }
});

describe("a long-poll", () => {
  const livePoll = (from: number) => `?offset=${offset(from)}&live=long-poll`;

  test("of a stream that is deleted meanwhile is a 404", async () => {
    const { create, remove, ask } = serving();
    const streamId = await create();
    const asked = ask(streamId, livePoll(0));
    await pass(5000);
    await remove(streamId);
    expect((await settled(asked)).status).toBe(404);
  });

  test("of a stream that is aborted is not told of the end before it has the last words", async () => {
    const { growing, ask, abort } = serving();
    const { streamId, say } = await growing();
    await say("One. ");
    await say("Half a sent");
    const { next, closed } = positionOf(await ask(streamId));
    expect({ next, closed }).toEqual({ next: offset(16), closed: null });
    const asked = ask(streamId, livePoll(16));
    await abort(streamId);
    const response = await settled(asked);
    expect(positionOf(response)).toMatchObject({ closed: "true" });
    expect(response.headers.get("Stream-Status")).toBe("aborted");
  });

  test("does not look any more when its client has gone", async () => {
    const { create, ask, reads } = serving();
    const client = new AbortController();
    const asked = ask(await create(), livePoll(0), {
      signal: client.signal,
    });
    await pass(5000);
    client.abort();
    await settled(asked);
    const before = reads();
    await pass(20_000);
    expect(reads()).toBe(before);
  });
});

describe("events", () => {
  const events = "?offset=-1&live=sse";

  test("bring the saved text, then new text, to the end", async () => {
    const { growing, ask } = serving();
    const { streamId, say, end } = await growing();
    await say("One. ");
    const response = await ask(streamId, events);
    expect(response.headers.get("Content-Type")).toBe("text/event-stream");
    expect(response.headers.get("Cache-Control")).toContain("no-cache");
    const { seen, whole } = readBody(response);
    await pass(500);
    const early = receivedIn(seen.text);
    expect(early.data).toEqual(["One. "]);
    expect(early.controls).toEqual([
      {
        streamNextOffset: offset(5),
        upToDate: true,
        streamCursor: expect.stringMatching(/^\d+$/) as string,
      },
    ]);
    await say("Two. ");
    await end();
    const { data, controls } = receivedIn(await settled(whole));
    expect(data).toEqual(["One. ", "Two. "]);
    expect(controls.at(-1)).toEqual({
      streamNextOffset: offset(10),
      upToDate: true,
      streamClosed: true,
    });
  });

  test("end after a minute, and go on with the next request", async () => {
    const { growing, ask } = serving();
    const { streamId, say, end } = await growing();
    const { seen } = readBody(await ask(streamId, events));
    for (let i = 0; i < 59; i++) await say(`${i}. `);
    expect(seen.closed).toBe(false);
    for (let i = 59; i < 64; i++) await say(`${i}. `);
    expect(seen.closed).toBe(true);
    const first = receivedIn(seen.text);
    const { streamNextOffset, streamCursor } = first.controls.at(-1) ?? {};
    const rest = readBody(
      await ask(
        streamId,
        `?offset=${String(streamNextOffset)}&live=sse&cursor=${String(streamCursor)}`,
      ),
    );
    await end();
    const second = receivedIn(await settled(rest.whole));
    expect([...first.data, ...second.data].join("")).toBe(
      Array.from({ length: 64 }, (_, i) => `${i}. `).join(""),
    );
    const cursors = [...first.controls, ...second.controls.slice(0, -1)].map(
      (control) => Number(control.streamCursor),
    );
    expect(cursors).toEqual([...new Set(cursors)].sort((a, b) => a - b));
  });

  test.each([
    "a\n\nevent: control\ndata: {}\n\nb",
    "a\r\n\r\nevent: control\r\ndata: {}\r\n\r\nb",
    "a\r\revent: control\rdata: {}\r\rb",
    "  two blanks\n at the beginning",
    "\n",
    "\n\n\n",
    "a line\n",
    ":comment\nid: 7\nretry: 1\n",
    "\uFEFFa\u0000b\u2028c\u0085d",
  ])("carry the text %j as it is, with its line breaks as LF", async (text) => {
    const { ask, written } = serving();
    const streamId = await written(text);
    const { data, controls } = receivedIn(
      await textOf(await ask(streamId, events)),
    );
    expect(data).toEqual([text.replace(/\r\n?/g, "\n")]);
    expect(controls).toHaveLength(1);
  });

  test("do not turn one line break, saved in two parts, into two", async () => {
    const { growing, ask } = serving();
    const { streamId, say, end } = await growing();
    await say("One.\r");
    const { seen, whole } = readBody(await ask(streamId, events));
    await pass(1000);
    // The offset is behind what was sent.
    expect(receivedIn(seen.text)).toMatchObject({
      data: ["One."],
      controls: [{ streamNextOffset: offset(4) }],
    });
    await say("\nTwo.\r");
    await say("Three.\r");
    await end();
    const { data, controls } = receivedIn(await settled(whole));
    expect(data.join("")).toBe("One.\nTwo.\nThree.\n");
    expect(controls.at(-1)).toMatchObject({
      streamNextOffset: offset(18),
      streamClosed: true,
    });
  });

  test("carry other types than text/… in base64, unchanged", async () => {
    const { ask, written } = serving();
    const text = '{"a":"😀"}\r\n\r{"b":" "}\r';
    const streamId = await written(text);
    const response = await ask(streamId, events, {
      contentType: "application/x-ndjson",
    });
    expect(response.headers.get("Stream-SSE-Data-Encoding")).toBe("base64");
    const { data, controls } = receivedIn(await textOf(response));
    const bytes = Uint8Array.from(atob(data.join("")), (c) => c.charCodeAt(0));
    expect(new TextDecoder().decode(bytes)).toBe(text);
    expect(controls.at(-1)).toMatchObject({ streamClosed: true });
    const page = await ask(streamId, "", {
      contentType: "application/x-ndjson",
    });
    expect(page.headers.get("Content-Type")).toBe("application/x-ndjson");
    expect(await textOf(page)).toBe(text);
  });

  test("of a long text are many, each with its offset, and end long before a response is full", async () => {
    const { ask, written } = serving();
    const text = `${"中".repeat(20)}😀\r\n`.repeat(200_000);
    const streamId = await written(text);
    let query = events;
    let received = "";
    let responses = 0;
    for (let closed = false; !closed; responses++) {
      const body = await textOf(await ask(streamId, query));
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

  test("are cut at no line break, and at no character", async () => {
    const { ask, written } = serving();
    for (const middle of ["\r\n", "😀"]) {
      const text = `${"x".repeat(64 * 1024 - 1)}${middle}y`;
      const streamId = await written(text);
      const { data } = receivedIn(await textOf(await ask(streamId, events)));
      expect(data).toHaveLength(2);
      expect(data.join("") === text.replace("\r\n", "\n")).toBe(true);
    }
  });

  test("end when the stream is deleted; the next request gets a 404", async () => {
    const { create, remove, ask } = serving();
    const streamId = await create();
    const { seen } = readBody(await ask(streamId, events));
    await pass(1000);
    await remove(streamId);
    await until(() => seen.closed);
    expect((await ask(streamId, events)).status).toBe(404);
  });

  test("of a stream that is aborted bring the last words before the end", async () => {
    const { growing, ask, abort, body } = serving();
    const { streamId, say } = await growing();
    const { whole } = readBody(await ask(streamId, events));
    await say("One. ");
    await say("Half a sent");
    await abort(streamId);
    const { data, controls } = receivedIn(await settled(whole));
    expect(data.join("")).toBe((await body(streamId)).text);
    expect(controls.at(-1)).toMatchObject({ streamClosed: true });
  });

  test("stop when the client has gone", async () => {
    const { create, ask, reads } = serving();
    const client = new AbortController();
    const response = await ask(await create(), events, {
      signal: client.signal,
    });
    const { seen } = readBody(response);
    await pass(1000);
    client.abort();
    await until(() => seen.closed);
    const before = reads();
    await pass(20_000);
    expect(reads()).toBe(before);
  });

  test("end when the database cannot be read, with the error logged", async () => {
    const { create, streaming, act } = serving();
    const streamId = await create();
    const logged = errorsLogged();
    let reads = 0;
    const response = await act((ctx) =>
      serveDurableStream(
        streaming,
        {
          runQuery: (query, ...args) => {
            if (reads++ > 2) throw new Error("The database is away.");
            return ctx.runQuery(query, ...args);
          },
        },
        new Request(`https://app.test/${events}`),
        streamId,
      ),
    );
    const { seen } = readBody(response);
    await until(() => seen.closed);
    expect(logged).toHaveBeenCalledOnce();
  });
});

describe("what it costs", () => {
  /** What a reader causes in a minute: requests, reads of the database, documents of one read at most. */
  async function minuteOf(
    live: "long-poll" | "sse",
    { silent }: { silent: boolean },
  ) {
    const app = setUp();
    const streamId = await app.create();
    let stopped = false;
    const generating = app.generate(streamId, async (append) => {
      for (let i = 0; !stopped; i++) {
        if (!silent) await append(`Sentence ${i}. `);
        await sleep(100);
      }
    });
    await pass(5000);
    const cost = { requests: 0, reads: 0, documents: 0 };
    let next = "-1";
    const reading = (async () => {
      while (!stopped) {
        cost.requests++;
        const response = await app.act((ctx) =>
          serveDurableStream(
            app.streaming,
            {
              runQuery: async (query, ...args) => {
                cost.reads++;
                const metrics = await app.t.query(async (queryCtx) => {
                  await queryCtx.runQuery(query, ...args);
                  return queryCtx.meta.getTransactionMetrics();
                });
                const { used } = metrics.documentsRead;
                cost.documents = Math.max(cost.documents, used);
                return ctx.runQuery(query, ...args);
              },
            },
            new Request(`https://app.test/?offset=${next}&live=${live}`),
            streamId,
          ),
        );
        const text = await readBody(response).whole;
        next =
          live === "sse"
            ? String(receivedIn(text).controls.at(-1)?.streamNextOffset)
            : (response.headers.get("Stream-Next-Offset") ?? "");
      }
    })();
    await pass(60_000);
    const minute = { ...cost };
    stopped = true;
    await settled(Promise.all([reading, generating]));
    return minute;
  }

  test("a long-poller: a request for each save, two looks for each; three a minute in silence", async () => {
    const streaming = await minuteOf("long-poll", { silent: false });
    expect(streaming.requests).toBeLessThanOrEqual(150);
    expect(streaming.reads).toBeLessThanOrEqual(2.2 * streaming.requests);
    expect(streaming.documents).toBeLessThanOrEqual(3);
    const silence = await minuteOf("long-poll", { silent: true });
    expect(silence.requests).toBe(3);
    expect(silence.reads).toBeLessThanOrEqual(45);
    expect(silence.documents).toBe(1);
  }, 30_000);

  test("a reader of events: a request a minute, and the looks of resume()", async () => {
    const streaming = await minuteOf("sse", { silent: false });
    // The second has just begun.
    expect(streaming.requests).toBeLessThanOrEqual(2);
    expect(streaming.reads).toBeLessThanOrEqual(241);
    expect(streaming.documents).toBeLessThanOrEqual(3);
    const silence = await minuteOf("sse", { silent: true });
    expect(silence.requests).toBe(1);
    expect(silence.reads).toBeLessThanOrEqual(35);
    expect(silence.documents).toBe(1);
  }, 30_000);
});
