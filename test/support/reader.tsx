/** A reader of a stream, for tests in jsdom and in browsers, with a history of everything it showed. */
import { makeFunctionReference } from "convex/server";
import type { StreamId } from "../../src/client/index.js";
import { useStream } from "../../src/react/index.js";
import type { StreamBody, StreamPage } from "../../src/shared.js";
import { History } from "./history.js";

export const body = makeFunctionReference<
  "query",
  { streamId: string },
  StreamBody
>("chat:body");
export const page = makeFunctionReference<
  "query",
  { streamId: string; from?: number },
  StreamBody | StreamPage
>("chat:page");

export interface ReaderProps {
  url: string | URL;
  driven: boolean;
  streamId: string | undefined;
  incremental?: boolean;
  /** Another query than the one that fits `incremental`. */
  query?: typeof body;
  authToken?: string;
  headers?: Record<string, string>;
}

interface ViewProps extends ReaderProps {
  history: History;
}

export function ReaderView(props: ViewProps) {
  const { url, driven, streamId, history, authToken, headers } = props;
  const incremental = props.incremental ?? false;
  // New objects at every render, as an app writes them.
  const shown = useStream(
    (props.query ?? (incremental ? page : body)) as typeof page,
    url && new URL(url),
    driven,
    streamId as StreamId | undefined,
    { authToken, headers: { ...headers }, incremental },
  );
  history.note(shown);
  return <p data-status={shown.status}>{shown.text.length}</p>;
}
