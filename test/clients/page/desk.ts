/** How a test starts clients on a page, and reads what they show. */
import type { Running, Seen } from "../kinds.js";

declare global {
  interface Window {
    desk: ReturnType<typeof openDesk>;
  }
}

/** Where and how a client on a page reads. */
export interface Props {
  deployment: string;
  writeUrl: string;
  resumeUrl: string;
  streamId: string;
  /** The text it has from an earlier run. */
  text: string;
  driven?: boolean;
  incremental?: boolean;
  strict?: boolean;
}

interface PageClient extends Running {
  seen(): Seen;
}

/** Opens a page's desk, with the clients that the page knows. */
export function openDesk(starts: Record<string, (props: Props) => PageClient>) {
  const running: PageClient[] = [];
  const desk = {
    start: (name: string, props: Props) =>
      running.push(starts[name]!(props)) - 1,
    seen: (index: number) => running[index]!.seen(),
    stop: (index: number) => void running[index]!.stop(),
  };
  // Simulates a network that comes back. Without it, a client whose socket was dropped
  // waits for a second or more, and the test's streams end before it reconnects.
  setInterval(() => window.dispatchEvent(new Event("online")), 50);
  window.desk = desk;
  return desk;
}
