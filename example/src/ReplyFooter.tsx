import type { StreamStatus } from "@convex-dev/persistent-text-streaming";
import { Check, Copy } from "lucide-react";
import { useEffect, useState, type ReactNode } from "react";
import { statusExplanation, statusLabel } from "./status";

/** How a reply is doing, and what can be done with it. */
export function ReplyFooter(props: {
  status: StreamStatus;
  /** What else the reader should know of it. */
  note?: string | false;
  /** What is copied of the reply. */
  text: string;
  /** More that can be done with it. */
  children?: ReactNode;
}) {
  return (
    <footer className="mt-2 flex min-h-8 items-start gap-3 text-xs leading-8">
      <StatusMark status={props.status} note={props.note} />
      <span className="flex items-center gap-0.5">
        <CopyButton text={props.text} />
        {props.children}
      </span>
    </footer>
  );
}

/**
 * Whether a text has not changed for long. A backend that was restarted while it
 * wrote leaves a reply that nobody writes any more; it times out after 20 minutes,
 * and a reader should not have to wait for that.
 */
export function useStalled(text: string, afterMs = 15_000): boolean {
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
function StatusMark(props: { status: StreamStatus; note?: string | false }) {
  const { status } = props;
  const explanation = props.note || statusExplanation[status];
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
