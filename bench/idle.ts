/** What streams cost while nothing is written. */
import type { Counters } from "../test/local-deployment/deployment.js";
import { planQuery } from "./apps/writer.js";
import type { Host } from "./bench-host.js";
import { drive } from "./host-request.js";

const MINUTE_MS = 60_000;

/** What a writer's silence of five minutes adds to a reply with one follower. */
export async function silence(host: Host): Promise<Counters> {
  const reply = { tokens: 2, followers: 1, clock: "stopped" } as const;
  const quick = await host.following({ ...reply, pace: 5 });
  const slow = await host.following({ ...reply, pace: 5 * MINUTE_MS });
  return Object.fromEntries(
    Object.entries(slow).map(([name, count]) => [
      name,
      count - quick[name as keyof Counters],
    ]),
  ) as unknown as Counters;
}

/** What happens in so many minutes on the deployment's clock. */
async function lasting(host: Host, minutes: number, step: number) {
  await host.atRest();
  await host.reset();
  for (let passed = step; passed <= minutes; passed += step) {
    await host.setClock(passed * MINUTE_MS);
    await host.atRest();
  }
  const counters = await host.counters();
  await host.setClock(0);
  return counters;
}

/** 500 streams that are created and never written, until they have timed out. */
export async function unwritten(host: Host) {
  for (let i = 0; i < 500; i++) await host.call("streams:create");
  return lasting(host, 21, 1);
}

/** A day on which nobody comes. */
export const emptyDay = (host: Host) => lasting(host, 24 * 60, 60);

/**
 * What a background writer in case no page drives the stream adds to a reply that a
 * page does drive, and that ends before that writer is due or after. It is due after
 * two seconds.
 */
export const fallback = (pace: number) => async (host: Host) => {
  const written = async (create: string) => {
    const streamId = (await host.call(`streams:${create}`)) as string;
    await host.reset();
    const plan = { tokens: 2, pace, stopClock: false };
    await drive(host.siteUrl, streamId, planQuery(plan));
    await host.atRest();
    return host.counters();
  };
  const without = await written("create");
  const counters = await written("createWithFallback");
  return Object.fromEntries(
    Object.entries(counters).map(([name, count]) => [
      name,
      count - without[name as keyof Counters],
    ]),
  ) as unknown as Counters;
};
