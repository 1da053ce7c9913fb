import type {
  StreamId,
  StreamStatus,
} from "@convex-dev/persistent-text-streaming";
import { useStream } from "@convex-dev/persistent-text-streaming/react";
import { Check, Copy, RotateCcw, Trash2 } from "lucide-react";
import { useEffect, useState } from "react";
import { api } from "../../convex/_generated/api";
import { siteAddress } from "../backend";
import { ConfirmButton } from "../ConfirmButton";
import { authToken } from "../identity";
import { Markdown } from "../Markdown";
import { isLive, statusExplanation, statusLabel } from "../status";
import { TextSkeleton, type Message } from "./Conversation";

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
      <footer className="mt-2 flex min-h-8 items-start gap-3 text-xs leading-8">
        <StatusMark status={status} stalled={stalled} />
        <span className="flex items-center gap-0.5">
          <CopyButton text={body.text} />
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
        </span>
      </footer>
    </article>
  );
}

/**
 * Whether a text has not changed for long. A backend that was restarted while it
 * wrote leaves a reply that nobody writes any more; it times out after 20 minutes,
 * and a reader should not have to wait for that.
 */
function useStalled(text: string, afterMs = 15_000): boolean {
  const [stalledAt, setStalledAt] = useState<string>();
  useEffect(() => {
    const timer = setTimeout(() => setStalledAt(text), afterMs);
    return () => clearTimeout(timer);
  }, [text, afterMs]);
  return stalledAt === text;
}

const markColor: Record<StreamStatus, string> = {
  pending: "bg-muted-foreground animate-[breathe_1.4s_ease-in-out_infinite]",
  streaming: "bg-primary animate-[breathe_1.4s_ease-in-out_infinite]",
  done: "bg-calm",
  error: "bg-danger",
  timeout: "bg-danger",
  aborted: "bg-muted-foreground",
};

/** Colour and word: neither alone would do for everyone. */
function StatusMark(props: { status: StreamStatus; stalled: boolean }) {
  const { status } = props;
  const explanation = props.stalled
    ? "Nothing has come for a while. Wait, or retry."
    : statusExplanation[status];
  return (
    <p className="flex min-w-0 flex-1 items-baseline gap-2 py-1.5 leading-5 text-muted-foreground">
      <span
        aria-hidden
        className={`size-2 shrink-0 ${status === "aborted" ? "" : "rounded-full"} ${markColor[status]}`}
      />
      <span>
        <span className={explanation ? "font-semibold text-foreground" : ""}>
          {statusLabel[status]}
        </span>
        {explanation ? ` · ${explanation}` : null}
      </span>
    </p>
  );
}

function CopyButton({ text }: { text: string }) {
  const [copied, setCopied] = useState(false);
  useEffect(() => {
    if (!copied) return;
    const timer = setTimeout(() => setCopied(false), 2000);
    return () => clearTimeout(timer);
  }, [copied]);
  return (
    <button
      type="button"
      className="icon-button disabled:invisible"
      disabled={text === ""}
      aria-label={copied ? "Copied" : "Copy this reply"}
      title="Copy this reply"
      onClick={() => {
        void navigator.clipboard.writeText(text).then(() => setCopied(true));
      }}
    >
      {copied ? (
        <Check size={15} aria-hidden />
      ) : (
        <Copy size={15} aria-hidden />
      )}
    </button>
  );
}
