import type { Server } from "node:http";
import type { AddressInfo } from "node:net";
import { createAdaptorServer, type HttpBindings } from "@hono/node-server";
import type { Hono } from "hono";

/** A port that can be closed, so that connections are refused, and opened again. */
export class Listener {
  readonly server: Server;

  /** @param port 0 becomes a free port when it opens, and stays the same from then on. */
  constructor(
    private port: number,
    app: Hono<{ Bindings: HttpBindings }> | Hono,
  ) {
    const { fetch } = app as Hono;
    this.server = createAdaptorServer({
      fetch,
      overrideGlobalObjects: false,
    }) as Server;
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  async open(): Promise<void> {
    if (this.server.listening) return;
    await new Promise<void>((resolve, reject) => {
      this.server.once("error", reject);
      this.server.listen(this.port, "127.0.0.1", () => {
        this.server.off("error", reject);
        resolve();
      });
    });
    this.port = (this.server.address() as AddressInfo).port;
  }

  /** Closes the port and cuts its connections, except for WebSockets. */
  async close(): Promise<void> {
    if (!this.server.listening) return;
    const closed = new Promise((resolve) => this.server.close(resolve));
    this.server.closeAllConnections();
    await closed;
  }
}
