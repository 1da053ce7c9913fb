import type {
  StreamId,
  StreamStatus,
} from "@convex-dev/persistent-text-streaming";
import {
  Check,
  ChevronLeft,
  ChevronRight,
  Copy,
  RotateCcw,
  Trash2,
} from "lucide-react";
import { useEffect, useState } from "react";
import { ConfirmButton } from "./ConfirmButton";
import { statusExplanation, statusLabel } from "./status";

/** A reply's status, and the buttons for it. Each button keeps its place, whatever the status. */
export function ReplyFooter(props: {
  status: StreamStatus;
  /** Replaces the status's usual name, such as "Thinking" while the model reasons. */
  label?: string | undefined;
  /** Replaces the status's usual explanation. */
  note?: string | false;
  /** The text that Copy copies. */
  text: string;
  /** `undefined` while there is nothing to retry yet. */
  onRetry: (() => void) | undefined;
  onDelete: () => void;
  versions: Versions;
}) {
  return (
    <footer className="mt-2 flex min-h-8 flex-wrap items-start justify-end gap-x-3 text-xs leading-8">
      <StatusMark
        status={props.status}
        label={props.label ?? statusLabel[props.status]}
        note={props.note}
      />
      <span className="flex items-center gap-0.5">
        <VersionSwitch {...props.versions} />
        <CopyButton text={props.text} />
        <button
          type="button"
          className="icon-button"
          aria-label="Retry"
          aria-disabled={props.onRetry === undefined}
          title="Answer this message again"
          onClick={props.onRetry}
        >
          <RotateCcw size={15} aria-hidden />
          <span className="max-sm:hidden">Retry</span>
        </button>
        <ConfirmButton
          label="Delete this message and its reply"
          question="Delete?"
          icon={<Trash2 size={15} aria-hidden />}
          onConfirm={props.onDelete}
        />
      </span>
    </footer>
  );
}

type Versions = {
  /** Which of the replies is on the page, from 0. */
  index: number;
  count: number;
  onShow: (index: number) => void;
};

/** Which of a message's replies to show: the latest, or one that Retry has replaced. */
export function useVersions(earlier: StreamId[], latest: StreamId) {
  const streamIds = [...earlier, latest];
  const [chosen, setChosen] = useState<StreamId>();
  const known = chosen === undefined ? -1 : streamIds.indexOf(chosen);
  const index = known === -1 ? streamIds.length - 1 : known;
  const isLatest = index === streamIds.length - 1;
  return {
    streamId: streamIds[index] ?? latest,
    isLatest,
    index,
    count: streamIds.length,
    onShow: (index: number) => {
      // The latest is not remembered: after a retry, the new reply is shown.
      const next = streamIds[index];
      setChosen(next === latest ? undefined : next);
    },
  };
}

function VersionSwitch({ index, count, onShow }: Versions) {
  if (count === 1) return null;
  return (
    <span role="group" aria-label="Versions" className="flex items-center">
      <button
        type="button"
        className="icon-button"
        aria-label="Previous reply"
        title="The reply before this one"
        aria-disabled={index === 0}
        onClick={() => onShow(Math.max(0, index - 1))}
      >
        <ChevronLeft size={15} aria-hidden />
      </button>
      <span className="text-muted-foreground tabular-nums">
        {index + 1}/{count}
      </span>
      <button
        type="button"
        className="icon-button"
        aria-label="Next reply"
        title="The reply after this one"
        aria-disabled={index === count - 1}
        onClick={() => onShow(Math.min(count - 1, index + 1))}
      >
        <ChevronRight size={15} aria-hidden />
      </button>
    </span>
  );
}

/**
 * Whether a text has not changed for a long time. If the action that writes a reply
 * dies, the reply stays unfinished until it times out; a reader should not have to
 * wait for that.
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

/** The status as a color and as a word, since neither alone works for everyone. */
function StatusMark(props: {
  status: StreamStatus;
  label: string;
  note: string | false | undefined;
}) {
  const { status } = props;
  const explanation = props.note || statusExplanation[status];
  return (
    <p className="flex min-w-0 flex-1 basis-40 items-baseline gap-2 py-1.5 leading-5 text-muted-foreground">
      <span
        aria-hidden
        className={`size-2 shrink-0 ${status === "aborted" ? "" : "rounded-full"} ${markColor[status]}`}
      />
      <span>
        <span className={explanation ? "font-semibold text-foreground" : ""}>
          {props.label}
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
      className="icon-button"
      aria-disabled={text === ""}
      aria-label={copied ? "Copied" : "Copy this reply"}
      title="Copy this reply"
      onClick={() => {
        if (text === "") return;
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
