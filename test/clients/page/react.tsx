/** A page with React: the hook, and `readStream`. */
import { ConvexReactClient } from "convex/react";
import { createRoot } from "react-dom/client";
import { Reading } from "../reading.js";
import { openDesk } from "./desk.js";
import { showHook } from "./hook-client.js";

let client: ConvexReactClient | undefined;

openDesk({
  hook(props) {
    client ??= new ConvexReactClient(props.deployment);
    return showHook(props, client, (element) => {
      const section = document.createElement("section");
      const root = createRoot(document.body.appendChild(section));
      root.render(element);
      return () => root.unmount();
    });
  },
  read: (props) => new Reading(props.resumeUrl, props.streamId, props.text),
});
