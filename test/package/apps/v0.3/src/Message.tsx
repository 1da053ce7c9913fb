import type {
  StreamBody,
  StreamId,
} from "@convex-dev/persistent-text-streaming";
import { useStream } from "@convex-dev/persistent-text-streaming/react";
import { api } from "../convex/_generated/api.js";

const siteUrl = "https://happy-animal-123.convex.site";

export function Message(props: { streamId: string; driven: boolean }) {
  const { text, status } = useStream(
    api.chat.getChatBody,
    new URL(`${siteUrl}/chat-stream`),
    props.driven,
    props.streamId as StreamId,
  );
  return <p title={status}>{text}</p>;
}

export function MessageWithToken(props: {
  streamId: StreamId | undefined;
  token: string | null;
}) {
  const body: StreamBody = useStream(
    api.chat.getChatBodyInferred,
    new URL("/chat-stream", siteUrl),
    true,
    props.streamId,
    { authToken: props.token, headers: { "X-Extra": "1" } },
  );
  return <p>{body.text}</p>;
}
