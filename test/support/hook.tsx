/** What the hook's tests share: a client, a page that shows a stream, and a history of all it ever showed. */
import { render, waitFor } from "@testing-library/react";
import { ConvexProvider, ConvexReactClient } from "convex/react";
import { StrictMode, type ReactNode } from "react";
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

export interface Mounted {
  history: History;
  /** Renders again, with these changes. */
  update(changes: Partial<ReaderProps>): void;
  /** Waits until the reader shows this. */
  shows(text: string, status: StreamState["status"]): Promise<void>;
}

export function mount(
  client: ConvexReactClient,
  props: ReaderProps,
  { strict = false } = {},
): Mounted {
  const history = new History();
  let current = props;
  const tree = (): ReactNode => {
    const page = (
      <ConvexProvider client={client}>
        <ReaderView {...current} history={history} />
      </ConvexProvider>
    );
    return strict ? <StrictMode>{page}</StrictMode> : page;
  };
  const view = render(tree());
  return {
    history,
    update(changes) {
      current = { ...current, ...changes };
      view.rerender(tree());
    },
    async shows(text, status) {
      await waitFor(
        () => {
          expect(history.last.status).toBe(status);
          expect(history.last.text.length).toBe(text.length);
        },
        { timeout: 20_000 },
      );
      expect(history.last.text).toBe(text);
      expect(history.stepBack()).toBeNull();
    },
  };
}
