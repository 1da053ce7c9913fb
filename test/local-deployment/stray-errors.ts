import { Invocation } from "./invocation.js";

type Listener = (reason: unknown, detail: unknown) => void;

let isWatching = false;

/**
 * On a deployment, an unhandled rejection or an exception in a timer ends the
 * function it belongs to, and no other. So once a deployment has run here, such
 * errors end the function. Those that belong to none go to the process's own
 * listeners.
 */
export function watchStrayErrors(): void {
  if (isWatching) return;
  isWatching = true;
  for (const event of ["unhandledRejection", "uncaughtException"]) {
    const others = process.rawListeners(event) as Listener[];
    process.removeAllListeners(event);
    process.on(event, (reason: unknown, detail: unknown) => {
      const invocation = Invocation.current();
      if (invocation !== undefined) {
        invocation.fail(reason);
        return;
      }
      // Without listeners it ends the process, as it would have without us.
      if (others.length === 0) throw reason;
      for (const listener of others) listener(reason, detail);
    });
  }
}
