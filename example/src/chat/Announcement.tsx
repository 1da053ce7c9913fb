import type { StreamStatus } from "@convex-dev/persistent-text-streaming";

const announcements: Record<StreamStatus, string> = {
  pending: "Message sent. Waiting for the reply.",
  streaming: "The reply is being written.",
  done: "The reply is complete.",
  error: "The reply failed.",
  timeout: "The reply timed out.",
  aborted: "The reply was stopped.",
};

/**
 * Tells screen readers how the latest reply that was asked for here is doing: a
 * sentence for each change, never the text as it trickles in.
 */
export function Announcement(props: { status: StreamStatus | undefined }) {
  return (
    <p aria-live="polite" className="sr-only">
      {props.status === undefined ? "" : announcements[props.status]}
    </p>
  );
}
