import { Invocation } from "./invocation.js";

/*
 * On a deployment, an unhandled rejection or an exception in a timer ends the
 * function it belongs to, and no other. So while a deployment runs here, it gets
 * such errors first. Those that belong to no function go to the process's own
 * listeners.
 */

const EVENTS = ["unhandledRejection", "uncaughtException"] as const;

type Event = (typeof EVENTS)[number];
type Listener = (reason: unknown, detail: unknown) => void;

let deployments = 0;
const others = new Map<Event, Listener[]>();
const ours = {
  unhandledRejection: (reason: unknown, detail: unknown) =>
    onError("unhandledRejection", reason, detail),
  uncaughtException: (reason: unknown, detail: unknown) =>
    onError("uncaughtException", reason, detail),
};

export function watchStrayErrors(): void {
  deployments++;
  if (deployments > 1) return;
  for (const event of EVENTS) {
    others.set(event, process.rawListeners(event) as Listener[]);
    process.removeAllListeners(event);
    process.on(event, ours[event]);
  }
}

export function unwatchStrayErrors(): void {
  deployments--;
  if (deployments > 0) return;
  for (const event of EVENTS) {
    process.removeListener(event, ours[event]);
    for (const listener of others.get(event) ?? []) process.on(event, listener);
  }
  others.clear();
}

function onError(event: Event, reason: unknown, detail: unknown): void {
  const invocation = Invocation.current();
  if (invocation !== undefined) {
    invocation.fail(reason);
    return;
  }
  const listeners = others.get(event) ?? [];
  // Without listeners it ends the process, as it would have without us.
  if (listeners.length === 0) throw reason;
  for (const listener of listeners) listener(reason, detail);
}
