import { ArrowDown } from "lucide-react";
import { useEffect, type ReactNode } from "react";
import { Link } from "wouter";
import { useStickToBottom } from "./useStickToBottom";

/** A conversation's messages and replies. Stays at the bottom as they grow, unless the reader scrolls up. */
export function MessageList(props: {
  /** The last message sent from this page. Sending scrolls to the bottom. */
  sent: string | undefined;
  isEmpty: boolean;
  /** An `li` for each. */
  children: ReactNode;
}) {
  const { scrollRef, atBottom, scrollToBottom } = useStickToBottom();
  useEffect(() => {
    if (props.sent !== undefined) scrollToBottom();
  }, [props.sent, scrollToBottom]);

  return (
    <div className="relative min-h-0 flex-1 after:pointer-events-none after:absolute after:inset-x-4 after:bottom-0 after:h-6 after:bg-linear-to-t after:from-background">
      <div
        ref={scrollRef}
        // Focusable, so that the keyboard can scroll it.
        tabIndex={0}
        role="region"
        aria-label="Messages"
        className="h-full overflow-y-auto overscroll-contain md:[scrollbar-gutter:stable_both-edges]"
      >
        <div className="mx-auto max-w-[46rem] px-4 pt-6 pb-4">
          {props.isEmpty ? (
            <p className="py-16 text-center text-muted-foreground">
              This conversation is empty. Write a message below.
            </p>
          ) : null}
          <ol className="flex flex-col gap-8">{props.children}</ol>
        </div>
      </div>
      {atBottom ? null : (
        <button
          type="button"
          className="button absolute bottom-3 left-1/2 z-10 -translate-x-1/2 rounded-full shadow-md"
          onClick={scrollToBottom}
        >
          <ArrowDown size={16} aria-hidden /> Latest
        </button>
      )}
    </div>
  );
}

/** A message and, below it, the reply. */
export function Turn(props: { prompt: string; children: ReactNode }) {
  return (
    <li className="flex flex-col gap-5">
      <p className="max-w-[85%] self-end rounded-2xl rounded-br-md bg-muted px-4 py-2.5 [overflow-wrap:anywhere] whitespace-pre-wrap">
        <span className="sr-only">You: </span>
        {props.prompt}
      </p>
      {props.children}
    </li>
  );
}

/** The space for the message box, as wide as the messages, which leave room for a scrollbar. */
export function BelowMessages(props: { children: ReactNode }) {
  return (
    <div className="shrink-0 overflow-hidden md:[scrollbar-gutter:stable_both-edges]">
      {props.children}
    </div>
  );
}

export function LoadingMessages() {
  return (
    <div
      role="status"
      aria-label="Loading the conversation"
      className="mx-auto w-full max-w-[46rem] flex-1 px-4 pt-6"
    >
      <div className="ml-auto h-11 w-1/2 animate-pulse rounded-2xl bg-muted" />
      <TextSkeleton />
    </div>
  );
}

/** A placeholder for text. */
export function TextSkeleton() {
  return (
    <div aria-hidden className="flex flex-col gap-3 py-3">
      {["w-11/12", "w-full", "w-2/3"].map((width) => (
        <div
          key={width}
          className={`h-4 animate-pulse rounded bg-muted ${width}`}
        />
      ))}
    </div>
  );
}

export function UnknownConversation(props: {
  /** The page for a new conversation. */
  newOne: string;
}) {
  return (
    <div className="grid flex-1 place-items-center p-4">
      <div className="notice max-w-md" role="alert">
        <h2 className="text-lg font-semibold">There is nothing here</h2>
        <p className="text-muted-foreground">
          This conversation does not exist, was deleted, or belongs to someone
          else.
        </p>
        <Link href={props.newOne} className="button button-primary">
          Start a new one
        </Link>
      </div>
    </div>
  );
}
