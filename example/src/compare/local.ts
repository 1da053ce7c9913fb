import { modelUrl, siteAddress } from "../backend";

/*
 * The controls that only the demo has: of the local deployment (its counters and
 * its faults) and of the stand-in for a model (its pace).
 */

/** What the local deployment has done since the counters were last reset. */
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

/** Cuts the response that is under way, and every subscription. */
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
    // A setting is put back while the page goes away.
    keepalive: body !== undefined,
  });
  if (!response.ok) throw new Error(`${url.href} answered ${response.status}.`);
  return await response.json();
}
