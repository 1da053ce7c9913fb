import { modelUrl, siteAddress } from "../backend";

/*
 * Controls that only the demo has: the local deployment's counters and faults, and
 * the fake model's pace.
 */

/** The local deployment's work since its counters were last reset. */
export type Counters = {
  commits: number;
  documentsRead: number;
  functionCalls: number;
  bytesPushed: number;
};

export async function readCounters(): Promise<Counters> {
  return (await call(siteAddress("/_local/counters"))) as Counters;
}

export function resetCounters() {
  return call(siteAddress("/_local/reset"), {});
}

export async function readCommitDelay(): Promise<number> {
  const faults = await call(siteAddress("/_local/faults"));
  return (faults as { commitDelayMs: number }).commitDelayMs;
}

export function setCommitDelay(commitDelayMs: number) {
  return call(siteAddress("/_local/faults"), { commitDelayMs });
}

/** Cuts the running response and every subscription. */
export function cutConnections() {
  return call(siteAddress("/_local/faults"), {
    cutConnections: true,
    dropSockets: true,
  });
}

export const canSetPace = modelUrl !== undefined;

export async function readPace(): Promise<number> {
  const pace = await call(new URL("/pace", modelUrl));
  return (pace as { tokensPerSecond: number }).tokensPerSecond;
}

export function setPace(tokensPerSecond: number) {
  return call(new URL("/pace", modelUrl), { tokensPerSecond });
}

async function call(url: URL, body?: object): Promise<unknown> {
  const response = await fetch(url, {
    method: body === undefined ? "GET" : "POST",
    body: body && JSON.stringify(body),
    // Settings are restored while the page unloads.
    keepalive: body !== undefined,
  });
  if (!response.ok) throw new Error(`${url.href} answered ${response.status}.`);
  return await response.json();
}
