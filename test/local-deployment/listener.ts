import {
  createServer,
  type IncomingMessage,
  type Server,
  type ServerResponse,
} from "node:http";
import type { AddressInfo, Socket } from "node:net";

type Handler = (
  pathname: string,
  incoming: IncomingMessage,
  outgoing: ServerResponse,
) => Promise<void>;

/** A port that can be closed, so that connections are refused, and opened again. */
export class Listener {
  readonly server: Server;
  private port: number;
  private readonly sockets = new Set<Socket>();

  constructor(port: number, handler: Handler) {
    this.port = port;
    this.server = createServer((incoming, outgoing) => {
      const { pathname } = new URL(incoming.url ?? "/", "http://localhost");
      handler(pathname, incoming, outgoing).catch((error: unknown) => {
        // The request could not even be read: the client has gone.
        outgoing.destroy(error instanceof Error ? error : undefined);
      });
    });
    this.server.on("connection", (socket: Socket) => {
      this.sockets.add(socket);
      socket.on("close", () => this.sockets.delete(socket));
    });
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  /** Opens the port. A port of 0 becomes a free one, and stays the same from then on. */
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

  /** Closes the port and cuts its connections, upgraded ones too. */
  async close(): Promise<void> {
    if (!this.server.listening) return;
    const closed = new Promise((resolve) => this.server.close(resolve));
    for (const socket of this.sockets) socket.destroy();
    await closed;
  }
}
