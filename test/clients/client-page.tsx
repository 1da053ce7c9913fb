/** The hook's page, and beside the hook what else reads streams in a page. */
import { ConvexProvider, ConvexReactClient } from "convex/react";
import { makeFunctionReference } from "convex/server";
import { createRoot } from "react-dom/client";
import { readLines, readStream } from "../../src/browser/index.js";
import type { StreamId } from "../../src/client/index.js";
import { useStream, useStreamLines } from "../../src/react/index.js";
import type { StreamPage } from "../../src/shared.js";
import { History } from "../support/history.js";
import { eventOf, type LineFormat } from "./print-lines.js";
import { Reading } from "./print-reading.js";

import "../browser/hook/hook-page.js";

const client = new ConvexReactClient(
  new URLSearchParams(location.search).get("deployment") ?? "",
);
const page = makeFunctionReference<
  "query",
  { streamId: string; from?: number },
  StreamPage
>("chat:page");

interface LinesProps {
  url: string;
  driven: boolean;
  streamId: string;
  format: LineFormat;
}

/** What the lines of a stream say, as the hook shows it. */
class ShownLines {
  readonly history = new History();
  events: readonly unknown[] = [];

  constructor(props: LinesProps) {
    const View = () => {
      const body = useStream(
        page,
        new URL(props.url),
        props.driven,
        props.streamId as StreamId,
        { incremental: true },
      );
      this.history.note(body);
      // Throws, and React takes the view away, if there is half a line.
      this.events = useStreamLines(body, eventOf[props.format]);
      return <p>{this.events.length}</p>;
    };
    createRoot(
      document.body.appendChild(document.createElement("section")),
    ).render(
      <ConvexProvider client={client}>
        <View />
      </ConvexProvider>,
    );
  }
}

const readings: Reading[] = [];
const shown: ShownLines[] = [];
const desk = {
  read: (...args: ConstructorParameters<typeof Reading>) =>
    readings.push(new Reading(...args)) - 1,
  reading: (index: number) => readings[index]!,
  showLines: (props: LinesProps) => shown.push(new ShownLines(props)) - 1,
  shownLines: (index: number) => shown[index]!,
  async readLines(url: string, streamId: string, format: LineFormat) {
    const events: unknown[] = [];
    const texts = readStream(url, { streamId });
    for await (const event of readLines(texts, eventOf[format])) {
      events.push(event);
    }
    return { events, status: texts.status };
  },
};
export type Desk = typeof desk;
const self = window as unknown as { desk: Desk };
// As when a network comes back. Otherwise a client whose socket was dropped waits
// a second or more, in which all the streams of a test end.
setInterval(() => window.dispatchEvent(new Event("online")), 50);
self.desk = desk;
