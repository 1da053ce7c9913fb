/** A page with React: the hook, and `readStream`. */
import { ConvexProvider, ConvexReactClient } from "convex/react";
import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { History } from "../../support/history.js";
import { ReaderView } from "../../support/reader.js";
import { Reading } from "../print-reading.js";
import { openDesk } from "./desk.js";

let client: ConvexReactClient | undefined;

openDesk({
  hook({ deployment, writeUrl, driven = false, strict = false, ...props }) {
    client ??= new ConvexReactClient(deployment);
    const history = new History();
    const element = document.body.appendChild(
      document.createElement("section"),
    );
    const root = createRoot(element);
    const view = (
      <ConvexProvider client={client}>
        <ReaderView
          url={writeUrl}
          driven={driven}
          streamId={props.streamId}
          incremental={props.incremental ?? false}
          history={history}
        />
      </ConvexProvider>
    );
    root.render(strict ? <StrictMode>{view}</StrictMode> : view);
    return {
      seen: () => ({
        text: history.last.text,
        status: history.last.status,
        stepBack: history.stepBack(),
      }),
      stop: () => root.unmount(),
    };
  },
  read: (props) => new Reading(props.resumeUrl, props.streamId, props.text),
});
