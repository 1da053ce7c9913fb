/** What apps of version 0.3 have around the hook and the client: each of these compiles with both versions. */
import {
  PersistentTextStreaming,
  StreamIdValidator,
  type StreamBody,
  type StreamId,
} from "@convex-dev/persistent-text-streaming";
import { useStream } from "@convex-dev/persistent-text-streaming/react";
import {
  mutationGeneric,
  queryGeneric,
  type FunctionReference,
} from "convex/server";
import { v } from "convex/values";
import { components } from "../convex/_generated/api.js";

/** An app's own list of the statuses, and a map over them. */
type Status = "pending" | "streaming" | "done" | "error" | "timeout";
const labels: Record<Status, string> = {
  pending: "Waiting",
  streaming: "Writing",
  done: "",
  error: "Failed",
  timeout: "Gave up",
};
const labelsOfBody: Record<StreamBody["status"], string> = labels;

const streaming = new PersistentTextStreaming(
  components.persistentTextStreaming,
);

/** `returns` with the five, and with further fields. */
const status = v.union(
  v.literal("pending"),
  v.literal("streaming"),
  v.literal("done"),
  v.literal("error"),
  v.literal("timeout"),
);
export const body = queryGeneric({
  args: { streamId: StreamIdValidator },
  returns: v.object({ text: v.string(), status, model: v.string() }),
  handler: async (ctx, args) => ({
    ...(await streaming.getStreamBody(ctx, args.streamId as StreamId)),
    model: "small",
  }),
});

/** A backend on `lib` alone. */
const { lib } = components.persistentTextStreaming;
export const write = mutationGeneric({
  args: { streamId: StreamIdValidator },
  handler: async (ctx, { streamId }): Promise<Status> => {
    const before = await ctx.runQuery(lib.getStreamStatus, { streamId });
    if (before !== "pending") return before;
    await ctx.runMutation(lib.addChunk, { streamId, text: "A", final: true });
    await ctx.runMutation(lib.setStreamStatus, { streamId, status: "done" });
    return (await ctx.runQuery(lib.getStreamText, { streamId })).status;
  },
});

type Query<Body> = FunctionReference<
  "query",
  "public",
  { streamId: string },
  Body
>;
declare const ofPackage: Query<StreamBody>;
declare const ofApp: Query<{ text: string; status: Status; model: string }>;

export function Patterns(props: { id: string | null; token: string | null }) {
  const url = new URL("https://happy-animal-123.convex.site/chat");
  // Called for each message, those without a stream too.
  const id = (props.id || "") as StreamId;
  const first: StreamBody = useStream(ofPackage, url, true, id, {
    authToken: props.token,
    headers: { "X-Model": "small" },
  });
  const second: { text: string; status: Status } = useStream(
    ofApp,
    url,
    false,
    id,
  );
  return labelsOfBody[first.status] + labels[second.status] + second.text;
}
