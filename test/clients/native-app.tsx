/** An app as React Native runs it: the hook, and `readStream`. */
import { ConvexReactClient } from "convex/react";
import { showHook } from "./page/hook-client.js";
export { Reading } from "./reading.js";

// Renders without a screen, and has no types.
// eslint-disable-next-line @typescript-eslint/no-require-imports
const { create } = require("react-test-renderer") as {
  create: (element: React.ReactElement) => { unmount(): void };
};

/** A stream as the hook shows it. */
export function show(deployment: string, streamId: string, writeUrl: string) {
  const client = new ConvexReactClient(deployment);
  const props = { streamId, writeUrl, driven: true, incremental: true };
  return showHook(props, client, (element) => {
    const root = create(element);
    return () => {
      root.unmount();
      void client.close();
    };
  });
}
