import { useStream } from "@convex-dev/persistent-text-streaming/react";
import { api } from "../../convex/_generated/api";
import { siteAddress } from "../backend";
import { authToken } from "../identity";
import { Markdown } from "../Markdown";
import { TextSkeleton } from "../MessageList";
import { ReplyFooter, useStalled, useVersions } from "../ReplyFooter";
import { isLive } from "../status";
import type { Message } from "./Conversation";

/** The reply to a message, or one of those that Retry has replaced. */
export function Reply(props: {
  message: Message;
  onRetry: () => void;
  onDelete: () => void;
}) {
  const { message } = props;
  const { streamId, isLatest, ...versions } = useVersions(
    message.earlierStreamIds,
    message.responseStreamId,
  );
  // Starts a reply that no one has started. Otherwise only reads.
  const body = useStream(
    api.chat.getStreamBody,
    siteAddress("/chat-stream"),
    isLatest ? "auto" : false,
    streamId,
    { incremental: true, authToken },
  );
  const isSaved = !isLatest || !isLive(message.status);
  const loading = body.isLoading && isSaved;
  // Stop shows at once, though the last words may still be on their way.
  const stopped = message.status === "aborted";
  const status =
    isLatest && (loading || stopped) ? message.status : body.status;

  const stalled = useStalled(body.text) && isLive(status);
  // Only a ConvexError has data, and its message is meant for users.
  const reason =
    body.error?.data === undefined ? undefined : body.error.message;

  return (
    <article
      aria-label="Reply"
      aria-busy={isLive(status)}
      data-status={status}
      className="min-w-0"
    >
      {loading ? (
        <TextSkeleton />
      ) : (
        <Markdown text={body.text} live={isLive(status)} />
      )}
      <ReplyFooter
        status={status}
        note={
          stalled ? "Nothing has arrived for a while. Wait, or retry." : reason
        }
        text={body.text}
        onRetry={isLive(status) && !stalled ? undefined : props.onRetry}
        onDelete={props.onDelete}
        versions={versions}
      />
    </article>
  );
}
