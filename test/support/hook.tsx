/** What the hook's tests share: a client, a page that shows a stream, and a history of all it ever showed. */
import { render, waitFor } from "@testing-library/react";
import { ConvexProvider, ConvexReactClient } from "convex/react";
import { expect, inject } from "vitest";
import { WebSocket } from "ws";
import type { StreamState } from "../../src/shared.js";
import { History } from "./history.js";
import { ReaderView, type ReaderProps } from "./reader.js";

export { chat, type ReaderProps } from "./reader.js";

/** The deployment of this worker. */
const deployment =
  inject("deployments")[Number(process.env.VITEST_POOL_ID) - 1]!;

export function newClient(): ConvexReactClient {
  return new ConvexReactClient(deployment.url, {
    // jsdom's own WebSocket does not work with Node's events.
    webSocketConstructor: WebSocket as never,
  });
}

/** The URL of the HTTP action, a new object each time, as apps write it. */
export function writeUrl(options: Record<string, string | number> = {}): URL {
  const search = new URLSearchParams(
    Object.entries(options).map(([name, value]) => [name, String(value)]),
  );
  return new URL(`/write?${search}`, deployment.siteUrl);
}

/** Shows a stream. */
export function mount(
  client: ConvexReactClient,
  props: ReaderProps,
  { strict = false } = {},
) {
  const history = new History();
  const view = () => <ReaderView {...props} history={history} />;
  const { rerender } = render(view(), {
    wrapper: ({ children }) => (
      <ConvexProvider client={client}>{children}</ConvexProvider>
    ),
    reactStrictMode: strict,
  });
  return {
    history,
    /** Renders again, with these changes. */
    update(changes: Partial<ReaderProps>) {
      props = { ...props, ...changes };
      rerender(view());
    },
    /** Waits until the reader shows this. */
    async shows(text: string, status: StreamState["status"]) {
      const length = text.length;
      await waitFor(
        () => {
          expect(history.last.status).toBe(status);
          expect(history.last.text.length).toBe(length);
        },
        { timeout: 20_000 },
      );
      expect(history.last.text).toBe(text);
      expect(history.stepBack()).toBeNull();
    },
  };
}
