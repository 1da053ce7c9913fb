/** A page that is nothing but readers of streams. A test drives it by `window.lab`. */
import { ConvexReactClient } from "convex/react";
import { makeFunctionReference } from "convex/server";
import { Reader, type ReaderProps } from "../../support/reader.js";
import { runSchedules } from "../../lab/hook/many.js";
import { controlsOf } from "../../lab/hook/place.js";
import { countRemains } from "../../lab/hook/remains.js";

const search = new URLSearchParams(location.search);
const strict = search.has("strict");
const deployment = search.get("deployment") ?? "";
const client = new ConvexReactClient(deployment);
const remains = countRemains([client]);

const create = makeFunctionReference<"mutation", Record<string, never>, string>(
  "chat:create",
);

/**
 * Has the client connect again soon after its socket was dropped, as it does when
 * a network comes back. Otherwise it waits a second or more, in which all the
 * streams of a schedule end.
 */
function reconnectSoon(): void {
  setInterval(() => window.dispatchEvent(new Event("online")), 50);
}

const machineNow = Date.now;
const paint = window.requestAnimationFrame.bind(window);
const newReader = (props: ReaderProps, isStrict: boolean) =>
  new Reader(client, props, isStrict);

const readers: Reader[] = [];
const lab = {
  mount: (props: ReaderProps) => readers.push(newReader(props, strict)) - 1,
  reconnectSoon,
  /** Calls a mutation, as a page does that creates a stream. */
  create: () => client.mutation(create, {}),
  /** Whether the page knows that it is connected. */
  isConnected: () => client.connectionState().isWebSocketConnected,
  /** What is left of readers that are gone. */
  remains: () => remains.count(),
  reader: (index: number) => readers[index]!,
  /** Random schedules over the line at this port. */
  async runSchedules(
    which: { first: number; count: number; lanes: number },
    linePort: number,
    keepGoing: boolean,
  ) {
    const { tally, inMidStream } = await runSchedules(
      which,
      (lane) => ({
        // A host for each: a browser opens only six connections to one.
        siteUrl: `http://lane${lane}.localhost:${linePort}`,
        control: controlsOf(deployment),
        newReader,
        moveClock: (ms) => {
          Date.now = () => machineNow() + ms;
        },
        hide: (hidden) => {
          window.requestAnimationFrame = hidden ? () => 0 : paint;
        },
      }),
      keepGoing,
    );
    return { wrong: tally.wrong, table: tally.table(), inMidStream };
  },
};
export type Lab = typeof lab;
(window as unknown as { lab: Lab }).lab = lab;
