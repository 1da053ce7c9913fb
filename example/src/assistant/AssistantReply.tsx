import type { AssistantMessage } from "../../convex/assistantMessages";
import { Markdown } from "../Markdown";
import { TextSkeleton } from "../MessageList";
import { ReplyFooter, useStalled, useVersions } from "../ReplyFooter";
import { isLive, statusLabel } from "../status";
import type { Turns } from "./Assistant";
import { Reasoning } from "./Reasoning";
import { TideTableCall } from "./TideTableCall";
import { useEarlierReply } from "./useSavedMessages";

type Part = AssistantMessage["parts"][number];

type AssistantReplyProps = {
  turn: Turns[number];
  /** The reply, as far as `useChat` has read it. */
  message: AssistantMessage | undefined;
  /** Whether `useChat` is still reading it. The database may be ahead. */
  isReading: boolean;
  /** Why it could not be read, or the model's error. */
  error: string | undefined;
  /** `undefined` while another reply is being written. */
  onRetry: (() => void) | undefined;
  onDelete: () => void;
};

/** The reply of a turn, or one of those that Retry has replaced. */
export function AssistantReply(props: AssistantReplyProps) {
  const { turn } = props;
  const { streamId, isLatest, ...versions } = useVersions(
    turn.earlierStreamIds,
    turn.streamId,
  );
  const earlier = useEarlierReply(isLatest ? undefined : streamId);
  const shown = isLatest
    ? { message: props.message, status: shownStatus(props) }
    : earlier;
  const { message, status = "done" } = shown ?? {};
  const parts = message?.parts ?? [];
  const live = isLive(status);
  const stalled = useStalled(JSON.stringify(parts)) && live;
  const error =
    message?.metadata?.error ?? (isLatest ? props.error : undefined);

  return (
    <article
      aria-label="Reply"
      aria-busy={live}
      data-status={status}
      className="flex min-w-0 flex-col gap-4"
    >
      {shown === undefined ? <TextSkeleton /> : null}
      {parts.map((part, i) => (
        <ReplyPart
          // Parts are only ever appended.
          key={i}
          part={part}
          // Only the last part can still grow.
          live={live && i === parts.length - 1}
        />
      ))}
      {error !== undefined && !live ? (
        <div className="rounded-xl border border-border bg-card px-4 py-3">
          <Markdown text={error} live={false} />
        </div>
      ) : null}
      <ReplyFooter
        status={status}
        label={live && isThinking(parts) ? statusLabel.pending : undefined}
        note={
          stalled && "Nothing has arrived for a while. Wait, or stop and retry."
        }
        text={prose(parts)}
        onRetry={live ? undefined : props.onRetry}
        onDelete={props.onDelete}
        versions={versions}
      />
    </article>
  );
}

function ReplyPart({ part, live }: { part: Part; live: boolean }) {
  switch (part.type) {
    case "reasoning":
      return <Reasoning text={part.text} live={live} />;
    case "tool-tideTable":
      return <TideTableCall part={part} live={live} />;
    case "text":
      return <Markdown text={part.text} live={live} />;
    default:
      return null;
  }
}

/** Stop shows at once. Otherwise the reply is being written as long as there is more to read. */
function shownStatus({ turn, isReading, message }: AssistantReplyProps) {
  if (!isReading || turn.status === "aborted") return turn.status;
  return message !== undefined && message.parts.length > 0
    ? "streaming"
    : "pending";
}

/** Whether the model reasons, or has begun a step and not said anything in it yet. */
function isThinking(parts: Part[]): boolean {
  const type = parts.at(-1)?.type;
  return type === "reasoning" || type === "step-start";
}

/** The parts worth copying. */
function prose(parts: Part[]): string {
  return parts
    .flatMap((part) => (part.type === "text" ? part.text : []))
    .join("\n\n");
}
