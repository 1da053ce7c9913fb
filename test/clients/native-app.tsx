/** An app as React Native runs it: the hook, and `readStream`. */
import { ConvexProvider, ConvexReactClient } from "convex/react";
import { makeFunctionReference } from "convex/server";
import type { StreamId } from "../../src/client/index.js";
import { useStream } from "../../src/react/index.js";
import type { StreamPage } from "../../src/shared.js";
import { History } from "../support/history.js";
export { Reading } from "./print-reading.js";

const page = makeFunctionReference<
  "query",
  { streamId: string; from?: number },
  StreamPage
>("chat:page");

// Renders without a screen, and has no types.
// eslint-disable-next-line @typescript-eslint/no-require-imports
const { create } = require("react-test-renderer") as {
  create: (element: React.ReactElement) => { unmount(): void };
};

/** A stream as the hook shows it. */
export class Shown {
  readonly history = new History();
  private readonly client: ConvexReactClient;
  private readonly root: { unmount(): void };

  constructor(place: {
    deployment: string;
    writeUrl: string;
    streamId: string;
  }) {
    const { deployment, writeUrl, streamId } = place;
    this.client = new ConvexReactClient(deployment);
    const View = () => {
      // As in apps. React Native's `URL` appends a slash.
      const url = new URL(writeUrl);
      const options = { incremental: true };
      this.history.note(
        useStream(page, url, true, streamId as StreamId, options),
      );
      return null;
    };
    const element = (
      <ConvexProvider client={this.client}>
        <View />
      </ConvexProvider>
    );
    this.root = create(element);
  }

  seen() {
    const { text, status } = this.history.last;
    return { text, status, stepBack: this.history.stepBack() };
  }

  stop(): Promise<void> {
    this.root.unmount();
    return this.client.close();
  }
}
