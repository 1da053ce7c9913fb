/** A reader of a stream, for tests in jsdom and in browsers, with a history of everything it showed. */
import { anyApi, type ApiFromModules } from "convex/server";
import type { StreamId } from "../../src/client/index.js";
import { useStream } from "../../src/react/index.js";
import type * as functions from "./app/chat.js";
import { History } from "./history.js";

/** The functions of `test/support/app`. */
export const { chat } = anyApi as unknown as ApiFromModules<{
  chat: typeof functions;
}>;

export interface ReaderProps {
  url: string | URL;
  driven: boolean | "auto";
  streamId: string | undefined;
  incremental?: boolean;
  authToken?: string;
  headers?: Record<string, string>;
}

export function ReaderView(
  props: ReaderProps & { history: Pick<History, "note"> },
) {
  const { url, driven, streamId, history, authToken, headers } = props;
  const incremental = props.incremental ?? false;
  // New objects at every render, as an app writes them.
  const shown = useStream(
    (incremental ? chat.page : chat.body) as typeof chat.page,
    url && new URL(url),
    driven,
    streamId as StreamId | undefined,
    { authToken, headers: { ...headers }, incremental },
  );
  history.note(shown);
  return <p data-status={shown.status}>{shown.text.length}</p>;
}
