/** A page that shows replies with the hook of either package, and counts how often it renders. */
import { ConvexProvider, ConvexReactClient } from "convex/react";
import { makeFunctionReference, type FunctionReference } from "convex/server";
import { useStream as usePublishedStream } from "persistent-text-streaming-published/react";
import { useLayoutEffect, useMemo } from "react";
import { createRoot } from "react-dom/client";
import type { StreamId } from "../../src/client/index.js";
import { useStream } from "../../src/react/index.js";
import type { StreamBody, StreamPage } from "../../src/shared.js";

export interface Reply {
  hook: "ours" | "dropIn" | "published";
  streamId: string;
  /** Of the HTTP action. */
  url: string;
}

export interface Bench {
  connect(url: string): void;
  /** Shows a reply below those that are there, and drives it. Resolves with how often it was rendered, when it is complete. */
  show(reply: Reply, characters: number): Promise<number>;
}

declare global {
  var bench: Bench;
}

type BodyQuery = FunctionReference<
  "query",
  "public",
  { streamId: string },
  StreamBody
>;
type PageQuery = FunctionReference<
  "query",
  "public",
  { streamId: string; from?: number },
  StreamPage
>;

const body = makeFunctionReference("streams:body") as BodyQuery;
const page = makeFunctionReference("streams:page") as PageQuery;

const hooks = {
  ours: (url: URL, streamId: StreamId) =>
    useStream(page, url, true, streamId, { incremental: true }),
  dropIn: (url: URL, streamId: StreamId) =>
    useStream(body, url, true, streamId),
  published: (url: URL, streamId: StreamId) =>
    usePublishedStream(body, url, true, streamId),
};

interface MessageProps {
  reply: Reply;
  onRender: (body: { text: string; status: string }) => void;
}

function Message({ reply, onRender }: MessageProps) {
  // The published hook starts anew with each new URL object.
  const url = useMemo(() => new URL(reply.url), [reply.url]);
  const useHook = hooks[reply.hook];
  const body = useHook(url, reply.streamId as StreamId);
  useLayoutEffect(() => onRender(body));
  return <p>{body.text}</p>;
}

let client: ConvexReactClient;

globalThis.bench = {
  connect(url) {
    client = new ConvexReactClient(url);
  },
  show(reply, characters) {
    const place = document.createElement("div");
    document.body.append(place);
    let renders = 0;
    return new Promise((resolve) => {
      const onRender: MessageProps["onRender"] = ({ text, status }) => {
        renders++;
        if (status === "done" && text.length === characters) {
          // Not before it has settled: what renders once more counts, too.
          setTimeout(() => resolve(renders), 300);
        }
      };
      createRoot(place).render(
        <ConvexProvider client={client}>
          <Message reply={reply} onRender={onRender} />
        </ConvexProvider>,
      );
    });
  },
};
