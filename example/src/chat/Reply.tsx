import type { StreamId } from "@convex-dev/persistent-text-streaming";
import { useStream } from "@convex-dev/persistent-text-streaming/react";
import { RotateCcw, Trash2 } from "lucide-react";
import { useState } from "react";
import { api } from "../../convex/_generated/api";
import { siteAddress } from "../backend";
import { ConfirmButton } from "../ConfirmButton";
import { authToken } from "../identity";
import { Markdown } from "../Markdown";
import { TextSkeleton } from "../MessageList";
import { ReplyFooter, useStalled } from "../ReplyFooter";
import { isLive } from "../status";
import type { Message } from "./Conversation";

export function Reply(props: {
  message: Message;
  /** Whether this page is the one that asks the backend to write it. */
  driven: boolean;
  onRetry: () => void;
  onDelete: () => void;
}) {
  const { message } = props;
  // One that had ended when it came into view is only read.
  const [ended] = useState(!isLive(message.status));
  const body = useStream(
    api.chat.getStreamBody,
    siteAddress("/chat-stream"),
    props.driven && !ended,
    message.responseStreamId as StreamId,
    { incremental: true, authToken },
  );
  // A saved reply reads as empty and pending until its text has arrived.
  const loading = body.text === "" && isLive(body.status) && ended;
  // A reply that was stopped is so at once, though its last words may still come.
  const stopped = message.status === "aborted";
  const status = loading || stopped ? message.status : body.status;

  const stalled = useStalled(body.text) && isLive(status);

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
        note={stalled && "Nothing has come for a while. Wait, or retry."}
        text={body.text}
      >
        {isLive(status) && !stalled ? null : (
          <button
            type="button"
            className="icon-button"
            aria-label="Retry"
            title="Answer this message again"
            onClick={props.onRetry}
          >
            <RotateCcw size={15} aria-hidden />
            {status === "done" ? null : "Retry"}
          </button>
        )}
        <ConfirmButton
          label="Delete this message and its reply"
          question="Delete?"
          icon={<Trash2 size={15} aria-hidden />}
          onConfirm={props.onDelete}
        />
      </ReplyFooter>
    </article>
  );
}
