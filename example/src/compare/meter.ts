import { ConvexReactClient } from "convex/react";
import { convexUrl } from "../backend";

/** Counts what arrives on one client's WebSocket. */
export class Meter {
  bytes = 0;
  messages = 0;
  private readonly listeners = new Set<() => void>();

  count(data: unknown) {
    this.messages++;
    this.bytes +=
      typeof data === "string" ? new TextEncoder().encode(data).length : 0;
    for (const listener of this.listeners) listener();
  }

  subscribe = (listener: () => void) => {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  };
}

/** A separate client, as another window has, that counts what it receives. */
export function meteredClient(): { client: ConvexReactClient; meter: Meter } {
  const meter = new Meter();
  class MeteredWebSocket extends WebSocket {
    constructor(url: string | URL, protocols?: string | string[]) {
      super(url, protocols);
      this.addEventListener("message", (event) => meter.count(event.data));
    }
  }
  const client = new ConvexReactClient(convexUrl ?? "", {
    webSocketConstructor: MeteredWebSocket,
  });
  return { client, meter };
}
