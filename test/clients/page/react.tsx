/** A page with React: the hook, and beside it what else reads streams. */
import { ConvexProvider, ConvexReactClient } from "convex/react";
import { makeFunctionReference } from "convex/server";
import { createRoot } from "react-dom/client";
import { readLines, readStream } from "../../../src/browser/index.js";
import type { StreamId } from "../../../src/client/index.js";
import { useStream, useStreamLines } from "../../../src/react/index.js";
import type { StreamPage } from "../../../src/shared.js";
import { History } from "../../support/history.js";
import { Reader } from "../../support/reader.js";
import { eventOf } from "../print-lines.js";
import { Reading } from "../print-reading.js";
import { openDesk, type Props } from "./desk.js";

let client: ConvexReactClient | undefined;
const clientOf = ({ deployment }: Props) =>
  (client ??= new ConvexReactClient(deployment));
const page = makeFunctionReference<
  "query",
  { streamId: string; from?: number },
  StreamPage
>("chat:page");

/** What the lines of a stream say, as the hook shows it. */
function showLines(props: Props) {
  const { writeUrl, streamId, driven = false, format = "ndjson" } = props;
  const history = new History();
  let events: readonly unknown[] = [];
  const View = () => {
    const options = { incremental: true };
    const url = new URL(writeUrl);
    const body = useStream(page, url, driven, streamId as StreamId, options);
    history.note(body);
    // Throws, and React takes the view away, if there is half a line.
    events = useStreamLines(body, eventOf[format]);
    return <p>{events.length}</p>;
  };
  const section = document.body.appendChild(document.createElement("section"));
  const root = createRoot(section);
  root.render(
    <ConvexProvider client={clientOf(props)}>
      <View />
    </ConvexProvider>,
  );
  const half = () =>
    history.shown.filter(({ text }) => text !== "" && !text.endsWith("\n"));
  return {
    seen: () => ({
      ...history.last,
      events,
      steps: history.shown.length,
      half: half().length,
    }),
    stop: () => root.unmount(),
  };
}

/** The same with `readStream` and `readLines`. */
function readAllLines({ resumeUrl, streamId, format = "ndjson" }: Props) {
  const events: unknown[] = [];
  const texts = readStream(resumeUrl, { streamId });
  const lines = readLines(texts, eventOf[format]);
  let status = "pending";
  void (async () => {
    for await (const event of lines) events.push(event);
    status = texts.status;
  })();
  return {
    seen: () => ({ text: "", status, events }),
    stop: () => void lines.return(),
  };
}

openDesk({
  hook(props) {
    const { writeUrl, streamId, driven = false, incremental = false } = props;
    const reader = new Reader(
      clientOf(props),
      { url: writeUrl, streamId, driven, incremental },
      props.strict ?? false,
    );
    const { history } = reader;
    return {
      seen: () => ({
        text: history.last.text,
        status: history.last.status,
        stepBack: history.stepBack(),
      }),
      stop: () => reader.unmount(),
    };
  },
  read: (props) => new Reading(props.resumeUrl, props.streamId, props.text),
  showLines,
  readLines: readAllLines,
});
