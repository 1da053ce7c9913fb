/** A page with React: the hook, and `readStream`. */
import { ConvexReactClient } from "convex/react";
import { Reader } from "../../support/reader.js";
import { Reading } from "../print-reading.js";
import { openDesk, type Props } from "./desk.js";

let client: ConvexReactClient | undefined;
const clientOf = ({ deployment }: Props) =>
  (client ??= new ConvexReactClient(deployment));

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
});
