import type { StreamStatus } from "@convex-dev/persistent-text-streaming";
import type { AssistantMessage } from "../../convex/assistantMessages";
import { Markdown } from "../Markdown";
import { ReplyFooter, useStalled } from "../ReplyFooter";
import { isLive } from "../status";
import { Reasoning } from "./Reasoning";
import { TideTableCall } from "./TideTableCall";

type Part = AssistantMessage["parts"][number];

export function AssistantReply(props: {
  /** What there is of it. */
  message: AssistantMessage | undefined;
  /** What the database says of it. */
  status: StreamStatus;
  /** Whether more may come, whatever the database says: the reader is behind it. */
  isReading: boolean;
  /** Why it could not be read, or what the model's error was. */
  error: string | undefined;
}) {
  const { message } = props;
  const parts = message?.parts ?? [];
  const status = shownStatus(props.status, props.isReading, parts.length > 0);
  const live = isLive(status);
  const stalled = useStalled(JSON.stringify(parts)) && live;
  const error = message?.metadata?.error ?? props.error;

  return (
    <article
      aria-label="Reply"
      aria-busy={live}
      data-status={status}
      className="flex min-w-0 flex-col gap-4"
    >
      {parts.map((part, i) => (
        <ReplyPart
          // Parts are only ever added behind the others.
          key={i}
          part={part}
          // Those behind which there is another have ended.
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
        note={
          stalled &&
          "Nothing has come for a while. Wait, or stop and ask again."
        }
        text={prose(parts)}
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

/** One that was stopped is so at once; else it is being written for as long as there is more to read. */
function shownStatus(
  saved: StreamStatus,
  isReading: boolean,
  hasBegun: boolean,
): StreamStatus {
  if (!isReading || saved === "aborted") return saved;
  return hasBegun ? "streaming" : "pending";
}

/** What is worth copying. */
function prose(parts: Part[]): string {
  return parts
    .flatMap((part) => (part.type === "text" ? part.text : []))
    .join("\n\n");
}
