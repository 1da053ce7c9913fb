/*
 * Enough of a tide table for a demo: the moon alone, on a round schedule. Do not
 * sail by it.
 */

export type TideTable = {
  port: string;
  /** In UTC, as the times are. */
  day: string;
  tides: { kind: "high" | "low"; time: string; metres: number }[];
};

type Port = {
  /** Hours from the moon's passage to high water. */
  interval: number;
  /** Metres above chart datum. */
  mean: number;
  /** How far the water rises above the mean, at the full moon and at the half. */
  spring: number;
  neap: number;
};

const ports: Record<string, Port> = {
  "Saint-Malo": { interval: 6.0, mean: 6.8, spring: 5.4, neap: 2.4 },
  Bristol: { interval: 7.2, mean: 6.9, spring: 6.1, neap: 3.0 },
  Brest: { interval: 4.0, mean: 4.1, spring: 2.8, neap: 1.3 },
  Hamburg: { interval: 4.9, mean: 2.2, spring: 2.0, neap: 1.6 },
  "New York": { interval: 8.2, mean: 0.8, spring: 0.9, neap: 0.5 },
};

export const portNames = Object.keys(ports);

const HOUR = 60 * 60 * 1000;
/** From one high water to the next. */
const TIDE = 12.4206 * HOUR;
const MONTH = 29.530589 * 24 * HOUR;
/** A new moon, when the moon passes with the sun. */
const NEW_MOON = Date.UTC(2000, 0, 6, 18, 14);

/** The tides at a port on the day of a moment. Throws if the port is unknown. */
export function tideTable(port: string, now: number): TideTable {
  const known = ports[port];
  if (known === undefined) {
    throw new Error(
      `There is no table for "${port}". There are tables for ${portNames.join(", ")}.`,
    );
  }
  const day = new Date(now).toISOString().slice(0, 10);
  const start = Date.parse(day);
  const firstHigh = Date.UTC(2000, 0, 6, 12) + known.interval * HOUR;
  const tides: TideTable["tides"] = [];
  // Half a tide at a time: high, low, high, low.
  let half = Math.ceil((start - firstHigh) / (TIDE / 2));
  for (; ; half++) {
    const time = firstHigh + half * (TIDE / 2);
    if (time >= start + 24 * HOUR) break;
    const kind = half % 2 === 0 ? "high" : "low";
    const rise = riseAt(known, time);
    tides.push({
      kind,
      time: new Date(time).toISOString().slice(11, 16),
      metres: round(known.mean + (kind === "high" ? rise : -rise)),
    });
  }
  return { port, day, tides };
}

/** Between spring, at new and full moon, and neap. */
function riseAt({ spring, neap }: Port, time: number): number {
  const phase = ((time - NEW_MOON) / MONTH) * 2 * Math.PI;
  return (spring + neap) / 2 + ((spring - neap) / 2) * Math.cos(2 * phase);
}

const round = (metres: number) => Math.round(metres * 10) / 10;
