import { cleanup, render, waitFor } from "@testing-library/react";
import { ConvexProvider, type ConvexReactClient } from "convex/react";
import { Component, type ReactNode } from "react";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import type { StreamId } from "../client/index.js";
import {
  chat,
  control,
  counters,
  faults,
  mount,
  newClient,
  writeUrl,
  type ReaderProps,
} from "../../test/support/hook.js";
import { network } from "../../test/support/network.js";
import { story } from "../../test/support/story.js";
import { useStream } from "./index.js";

let client: ConvexReactClient;
let streamId: StreamId;

beforeEach(async () => {
  client = newClient();
  streamId = await client.mutation(chat.create, {});
});
afterEach(async () => {
  cleanup();
  await client.close();
  await faults({ site: "online" });
});

const nothing = { text: "", status: "pending" };

const requests = async (id = streamId) =>
  client.query(chat.requests, { streamId: id });

/** A component that drives the stream, and how the stream is written. */
const drive = (
  writing: Parameters<typeof writeUrl>[0] | URL,
  props: Partial<ReaderProps> = {},
  options: { strict?: boolean } = {},
) => {
  const url = writing instanceof URL ? writing : writeUrl(writing);
  return mount(client, { url, driven: true, streamId, ...props }, options);
};

/** A reader that has shown some of the text and not yet all. */
async function inMidStream(
  props: Partial<ReaderProps> = {},
  sentences = 40,
  options = {},
) {
  const reader = drive({ sentences, delay: 2 }, props, options);
  await waitFor(() =>
    expect(reader.history.last.text.length).toBeGreaterThan(100),
  );
  expect(reader.history.last.text.length).toBeLessThan(story(sentences).length);
  return reader;
}

describe.each([{ incremental: false }, { incremental: true }])(
  "with incremental: $incremental",
  ({ incremental }) => {
    describe("a driven stream", () => {
      test("shows the text as it arrives, with URL and headers written inline", async () => {
        const reader = drive(
          { sentences: 20, delay: 2 },
          { incremental, authToken: "secret", headers: { "X-Extra": "more" } },
        );
        await reader.shows(story(20), "done");
        expect(reader.history.shown.length).toBeGreaterThan(3);
        expect(await requests()).toMatchObject([
          { authorization: "Bearer secret", extra: "more" },
        ]);
      });

      test("makes exactly one request under StrictMode", async () => {
        // Not even one that is cancelled before it is sent.
        const fetched = vi.spyOn(globalThis, "fetch");
        const reader = await inMidStream({ incremental }, 40, { strict: true });
        expect(fetched).toHaveBeenCalledTimes(1);
        fetched.mockRestore();
        await reader.shows(story(40), "done");
        expect(await requests()).toHaveLength(1);
      });

      test("is not disturbed by renders at any time, with a token that changes", async () => {
        const reader = drive(
          { sentences: 30, delay: 2 },
          { incremental, authToken: "0" },
        );
        for (let i = 1; reader.history.last.status !== "done"; i++) {
          reader.update({ authToken: String(i) });
          await new Promise((resolve) => setTimeout(resolve));
        }
        await reader.shows(story(30), "done");
        expect(await requests()).toHaveLength(1);
      });

      test("begins when the id is there", async () => {
        const reader = mount(client, {
          url: writeUrl({ sentences: 5 }),
          driven: true,
          streamId: undefined,
          incremental,
        });
        expect(reader.history.last).toMatchObject(nothing);
        expect(await requests()).toHaveLength(0);
        reader.update({ streamId });
        await reader.shows(story(5), "done");
      });

      test("can be followed by another, which starts clean", async () => {
        const reader = await inMidStream({ incremental });
        const first = reader.history.shown.splice(0);
        const next = await client.mutation(chat.create, {});
        reader.update({ streamId: next, url: writeUrl({ sentences: 7 }) });
        expect(reader.history.last).toMatchObject(nothing);
        await reader.shows(story(7), "done");
        expect(first.length).toBeGreaterThan(0);
        expect(await requests(next)).toHaveLength(1);
        // The first one is still written to its end.
        const written = { text: story(40), status: "done" };
        await waitFor(async () =>
          expect(await client.query(chat.body, { streamId })).toEqual(written),
        );
      });

      test("may stop being driven and be driven again", async () => {
        const reader = await inMidStream({ incremental });
        reader.update({ driven: false });
        const before = reader.history.last.text.length;
        await waitFor(() =>
          expect(reader.history.last.text.length).toBeGreaterThan(before),
        );
        reader.update({ driven: true });
        await reader.shows(story(40), "done");
        expect(await requests()).toHaveLength(1);
      });

      test("keeps a byte order mark at its beginning", async () => {
        const reader = drive({ sentences: 3, bom: 1 }, { incremental });
        await reader.shows("\uFEFF" + story(3), "done");
      });
    });

    describe("the database has the last word", () => {
      test("when the writer throws: `error`, with all its text", async () => {
        const failing = { sentences: 10, delay: 1, failAt: 20 };
        const reader = drive(failing, { incremental });
        await reader.shows(story(10).slice(0, 100), "error");
      });

      // The fault lab cuts connections and sockets and kills actions, at any moment.

      test("when the stream is stopped: all have the same text, and pages say `aborted`", async () => {
        const hanging = { sentences: 40, delay: 2, hang: 50 };
        const reader = drive(hanging, { incremental });
        await waitFor(() => expect(reader.history.last.text.length).toBe(250));
        await client.mutation(chat.stop, { streamId });
        const text = story(40).slice(0, 250);
        await reader.shows(text, incremental ? "aborted" : "done");
        expect(await client.query(chat.body, { streamId })).toEqual({
          text,
          status: "done",
        });
      });
    });

    describe("a follower", () => {
      test("sees the same text, early or late", async () => {
        const url = writeUrl({ sentences: 60, delay: 1 });
        const props = { url, streamId, incremental };
        const early = mount(client, { ...props, driven: false });
        const driver = await inMidStream({ url, incremental }, 60);
        const late = mount(client, { ...props, driven: false });
        await Promise.all(
          [early, driver, late].map((reader) =>
            reader.shows(story(60), "done"),
          ),
        );
        const after = mount(client, { ...props, driven: false });
        await after.shows(story(60), "done");
        expect(await requests()).toHaveLength(1);
      });

      test("gets only new text with each update, or everything", async () => {
        await control("reset");
        const url = writeUrl({ sentences: 300, delay: 1 });
        const driver = mount(client, { url, driven: true, streamId });
        const follower = newClient();
        const props = { url, driven: false, streamId, incremental };
        const reader = mount(follower, props);
        const text = story(300);
        await reader.shows(text, "done");
        await driver.shows(text, "done");
        await follower.close();
        const { bytesPushed, commits } = await counters();
        // The text once, some of it twice where a page ends, and with each
        // update half a page of 512 characters and a frame.
        const bytes = new TextEncoder().encode(text).length;
        const linear = 2 * bytes + 800 * commits;
        if (incremental) expect(bytesPushed).toBeLessThan(linear);
        else expect(bytesPushed).toBeGreaterThan(linear);
      });

      test.skipIf(incremental)(
        "has the text at once where another component shows it",
        async () => {
          const follow = () => drive(writeUrl(), { driven: false });
          const reader = follow();
          const driver = await inMidStream({ incremental });
          await waitFor(() => expect(reader.history.last.text).not.toBe(""));
          const second = follow();
          expect(second.history.shown[0]?.text).not.toBe("");
          await driver.shows(story(40), "done");
          await second.shows(story(40), "done");
        },
      );
    });

    describe("renders", () => {
      test("at most once a frame", async () => {
        let frames = 0;
        let counting = true;
        const count = () => {
          frames++;
          if (counting) requestAnimationFrame(count);
        };
        requestAnimationFrame(count);
        const reader = drive({ sentences: 100, delay: 1 }, { incremental });
        await reader.shows(story(100), "done");
        counting = false;
        // 0.1 s of a frame that did not come counts as one, too: a busy machine.
        expect(reader.history.renders).toBeLessThanOrEqual(frames + 3);
      });
    });
  },
);

describe("a query that changes the text", () => {
  const url = () => writeUrl({ sentences: 20, delay: 3 });

  test.each(["in mid-stream", "after the end"])(
    "may withdraw it, %s",
    async (when) => {
      const props = { url: url(), driven: false, streamId };
      const follower = mount(client, { ...props, query: chat.moderated });
      const driver = await inMidStream({ url: url() }, 20);
      if (when === "after the end") await driver.shows(story(20), "done");
      const note = { streamId, authorization: "", extra: "withdraw" };
      await client.mutation(chat.noteRequest, note);
      const removed = { text: "[removed]", status: "done" };
      await waitFor(() => expect(follower.history.last).toMatchObject(removed));
    },
  );

  test("need not say where its text starts", async () => {
    const driver = await inMidStream(
      { url: url(), query: chat.stripped, incremental: true },
      20,
    );
    await faults({ cutConnections: true });
    await driver.shows(story(20), "done");
  });
});

test("silence is noticed, even if the clock is set back by an hour meanwhile", async () => {
  const { fetch } = globalThis;
  network(fetch, () => ({ deadAfter: 100 }));
  const url = writeUrl({ sentences: 20, delay: 1 });
  const reader = mount(client, { url, driven: true, streamId });
  const bytes = new TextEncoder().encode(story(20)).subarray(0, 100);
  const come = new TextDecoder().decode(bytes, { stream: true });
  await waitFor(() => expect(reader.history.last.text).toBe(come), {
    timeout: 10_000,
  });
  const machineNow = Date.now;
  Date.now = () => machineNow() - 3_600_000;
  try {
    await reader.shows(story(20), "done");
  } finally {
    Date.now = machineNow;
    vi.unstubAllGlobals();
  }
}, 30_000);

test("without a provider there is an error that names it", () => {
  vi.spyOn(console, "error").mockImplementation(() => {});
  function Alone() {
    useStream(chat.body, writeUrl(), false, streamId);
    return null;
  }
  expect(() => render(<Alone />)).toThrow("ConvexProvider");
  vi.mocked(console.error).mockRestore();
});

test("what the query throws is thrown in the component, as useQuery does", async () => {
  function Refused() {
    useStream(chat.refused, writeUrl(), false, streamId);
    return null;
  }
  class Boundary extends Component<{ children: ReactNode }, { error?: Error }> {
    override state: { error?: Error } = {};
    static getDerivedStateFromError = (error: Error) => ({ error });
    override render() {
      return this.state.error ? this.state.error.message : this.props.children;
    }
  }
  vi.spyOn(console, "error").mockImplementation(() => {});
  const view = render(
    <ConvexProvider client={client}>
      <Boundary>
        <Refused />
      </Boundary>
    </ConvexProvider>,
  );
  await waitFor(() => expect(view.container.textContent).toMatch(/Not yours/));
  vi.mocked(console.error).mockRestore();
});
