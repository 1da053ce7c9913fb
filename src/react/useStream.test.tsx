import { cleanup, render, waitFor } from "@testing-library/react";
import { ConvexProvider, type ConvexReactClient } from "convex/react";
import { Component, type ReactNode } from "react";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import type { StreamId } from "../client/index.js";
import {
  chat,
  mount,
  newClient,
  writeUrl,
  type ReaderProps,
} from "../../test/support/hook.js";
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
});

const nothing = { text: "", status: "pending" };

const requests = async (id = streamId) =>
  client.query(chat.requests, { streamId: id });

/** A component that drives the stream, and how the stream is written. */
const drive = (
  writing: Parameters<typeof writeUrl>[0],
  props: Partial<ReaderProps>,
  options: { strict?: boolean } = {},
) => {
  const url = writeUrl(writing);
  return mount(client, { url, driven: true, streamId, ...props }, options);
};

describe.each([{ incremental: false }, { incremental: true }])(
  "with incremental: $incremental, a stream",
  ({ incremental }) => {
    test("shows the text as it arrives, at most once a frame, with one request, under StrictMode too", async () => {
      let frames = 0;
      let counting = true;
      const count = () => {
        frames++;
        if (counting) requestAnimationFrame(count);
      };
      requestAnimationFrame(count);
      // Not even one that is cancelled before it is sent.
      const fetched = vi.spyOn(globalThis, "fetch");
      // The URL and the headers are new objects at every render.
      const reader = drive(
        { sentences: 100, delay: 1 },
        { incremental, authToken: "secret", headers: { "X-Extra": "more" } },
        { strict: true },
      );
      await reader.shows(story(100), "done");
      counting = false;
      expect(fetched).toHaveBeenCalledTimes(1);
      fetched.mockRestore();
      const { shown, renders } = reader.history;
      expect(shown.length).toBeGreaterThan(3);
      // StrictMode renders twice. 0.1 s of a frame that did not come counts as
      // one, too: a busy machine.
      expect(renders / 2).toBeLessThanOrEqual(frames + 3);
      expect(await requests()).toMatchObject([
        { authorization: "Bearer secret", extra: "more" },
      ]);
    });

    test("begins when the id is there, and is followed by another, which starts clean", async () => {
      const reader = drive(
        { sentences: 40, delay: 2 },
        { streamId: undefined, incremental },
      );
      expect(reader.history.last).toMatchObject(nothing);
      expect(await requests()).toHaveLength(0);
      reader.update({ streamId });
      await waitFor(() => expect(reader.history.last.text).not.toBe(""));
      const next = await client.mutation(chat.create, {});
      reader.history.shown.length = 0;
      reader.update({ streamId: next, url: writeUrl({ sentences: 7 }) });
      expect(reader.history.last).toMatchObject(nothing);
      await reader.shows(story(7), "done");
      expect(await requests(next)).toHaveLength(1);
      // The first one is still written to its end.
      const written = { text: story(40), status: "done" };
      await waitFor(async () =>
        expect(await client.query(chat.body, { streamId })).toEqual(written),
      );
    });

    test("is not disturbed by renders at any time, with a token and a driver that change", async () => {
      const reader = drive({ sentences: 30, delay: 2 }, { incremental });
      for (let i = 0; reader.history.last.status !== "done"; i++) {
        reader.update({ authToken: String(i), driven: i % 2 === 0 });
        await new Promise((resolve) => setTimeout(resolve));
      }
      await reader.shows(story(30), "done");
      expect(await requests()).toHaveLength(1);
    });

    // The fault lab cuts connections and sockets and kills actions, at any moment.
    test("reads the same for all, early or late, if its writer throws too", async () => {
      const written = { sentences: 60, delay: 1, failAt: 200 };
      const follow = () => drive(written, { driven: false, incremental });
      const [early, driver] = [follow(), drive(written, { incremental })];
      await waitFor(() => expect(driver.history.last.text).not.toBe(""));
      expect(driver.history.last.status).toBe("streaming");
      const late = follow();
      for (const reader of [early, driver, late]) {
        await reader.shows(story(60).slice(0, 1000), "error");
      }
      await follow().shows(story(60).slice(0, 1000), "error");
      expect(await requests()).toHaveLength(1);
    });
  },
);

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
