import { Invocation } from "./invocation.js";

/*
 * On a deployment, a promise that is rejected and that nobody handles ends the
 * function it belongs to, and no other. So while a deployment runs here, such
 * rejections are looked at first; those that belong to no function go to
 * whoever would have got them otherwise.
 */

type Listener = (reason: unknown, promise: Promise<unknown>) => void;

let deployments = 0;
let others: Listener[] = [];

export function watchRejections(): void {
  deployments++;
  if (deployments > 1) return;
  others = process.rawListeners("unhandledRejection") as Listener[];
  process.removeAllListeners("unhandledRejection");
  process.on("unhandledRejection", onRejection);
}

export function unwatchRejections(): void {
  deployments--;
  if (deployments > 0) return;
  process.removeListener("unhandledRejection", onRejection);
  for (const listener of others) process.on("unhandledRejection", listener);
  others = [];
}

function onRejection(reason: unknown, promise: Promise<unknown>): void {
  const invocation = Invocation.current();
  if (invocation !== undefined) {
    invocation.fail(reason);
    return;
  }
  // Nobody else listens: what Node does by itself then.
  if (others.length === 0) throw reason;
  for (const listener of others) listener(reason, promise);
}
