/** The hook as a client, in a page and in React Native. */
import { ConvexProvider, type ConvexReactClient } from "convex/react";
import { StrictMode } from "react";
import { History } from "../../support/history.js";
import { ReaderView } from "../../support/reader.js";
import type { Props } from "./desk.js";

type Shown = Pick<Props, "writeUrl" | "streamId"> & Partial<Props>;

/** Shows a stream with a renderer's `render`, which returns how to unmount. */
export function showHook(
  { writeUrl, streamId, driven, incremental, strict }: Shown,
  client: ConvexReactClient,
  render: (element: React.ReactElement) => () => void,
) {
  const history = new History();
  const reader = (
    <ReaderView
      url={writeUrl}
      driven={driven ?? false}
      streamId={streamId}
      incremental={incremental ?? false}
      history={history}
    />
  );
  const unmount = render(
    <ConvexProvider client={client}>
      {strict ? <StrictMode>{reader}</StrictMode> : reader}
    </ConvexProvider>,
  );
  return {
    seen: () => {
      const { text, status } = history.last;
      return { text, status, stepBack: history.stepBack() };
    },
    stop: unmount,
  };
}
