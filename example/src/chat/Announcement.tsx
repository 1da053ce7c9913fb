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
 * Announces the status of the reply that this page asked for to screen readers: one
 * sentence for each change, and not the text itself.
 */
export function Announcement(props: { status: StreamStatus | undefined }) {
  return (
    <p aria-live="polite" className="sr-only">
      {props.status === undefined ? "" : announcements[props.status]}
    </p>
  );
}
