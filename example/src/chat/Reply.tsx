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
  const status = loading ? message.status : body.status;
  const explanation = statusExplanation[status];

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
      {explanation !== undefined && !loading ? (
        <div className="mt-4 flex flex-wrap items-center justify-between gap-x-4 gap-y-2 rounded-lg border border-border px-3.5 py-2.5 text-sm">
          <p className="text-muted-foreground">{explanation}</p>
          <button type="button" className="button h-8" onClick={props.onRetry}>
            <RotateCcw size={14} aria-hidden /> Retry
          </button>
        </div>
      ) : null}
      <footer className="mt-2 flex h-8 items-center gap-0.5">
        <StatusMark status={status} />
        <span className="flex-1" />
        <CopyButton text={body.text} />
        {explanation === undefined && !isLive(status) ? (
          <button
            type="button"
            className="icon-button"
            aria-label="Answer again"
            title="Answer again"
            onClick={props.onRetry}
          >
            <RotateCcw size={15} aria-hidden />
          </button>
        ) : null}
        <ConfirmButton
          label="Delete this message and its reply"
          question="Delete?"
          icon={<Trash2 size={15} aria-hidden />}
          onConfirm={props.onDelete}
        />
      </footer>
    </article>
  );
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
function StatusMark({ status }: { status: StreamStatus }) {
  return (
    <span className="flex items-center gap-2 text-xs text-muted-foreground">
      <span
        aria-hidden
        className={`size-2 ${status === "aborted" ? "" : "rounded-full"} ${markColor[status]}`}
      />
      {statusLabel[status]}
    </span>
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
