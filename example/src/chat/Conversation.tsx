import type { FunctionReturnType } from "convex/server";
import { ArrowDown } from "lucide-react";
import { useEffect, useState } from "react";
import { Link } from "wouter";
import type { api } from "../../convex/_generated/api";
import type { Id } from "../../convex/_generated/dataModel";
import { useStickToBottom } from "../useStickToBottom";
import { Reply } from "./Reply";

export type Message = NonNullable<
  FunctionReturnType<typeof api.chat.listMessages>
>[number];

type MessageActions = {
  onRetry: (messageId: Id<"userMessages">) => void;
  onDelete: (messageId: Id<"userMessages">) => void;
};

export function Conversation(
  props: MessageActions & {
    /** `undefined` while they load, `null` if there is no such conversation. */
    messages: Message[] | null | undefined;
    driven: ReadonlySet<string>;
  },
) {
  if (props.messages === undefined) return <Loading />;
  if (props.messages === null) return <Unknown />;
  return <Messages {...props} messages={props.messages} />;
}

function Messages(
  props: MessageActions & { messages: Message[]; driven: ReadonlySet<string> },
) {
  const { messages, driven } = props;
  // A reply that is pending when the page loads may have lost its driver: the page
  // was reloaded before it could ask. Asking again is safe, for only one writer
  // ever runs.
  const [orphans] = useState(
    () =>
      new Set(
        messages
          .filter(({ status }) => status === "pending")
          .map(({ responseStreamId }) => responseStreamId),
      ),
  );

  const { scrollRef, atBottom, scrollToBottom } = useStickToBottom();
  // Who sends a message wants to see it, wherever they were reading.
  const latest = messages.at(-1)?.responseStreamId;
  const sentLatest = latest !== undefined && driven.has(latest);
  useEffect(() => {
    if (sentLatest) scrollToBottom();
  }, [latest, sentLatest, scrollToBottom]);

  return (
    <div className="relative min-h-0 flex-1 after:pointer-events-none after:absolute after:inset-x-4 after:bottom-0 after:h-6 after:bg-linear-to-t after:from-background">
      <div
        ref={scrollRef}
        // Reachable by keyboard, so that it can be scrolled by keyboard.
        tabIndex={0}
        role="region"
        aria-label="Messages"
        className="h-full overflow-y-auto overscroll-contain md:[scrollbar-gutter:stable_both-edges]"
      >
        <div className="mx-auto max-w-[46rem] px-4 pt-6 pb-4">
          {messages.length === 0 ? (
            <p className="py-16 text-center text-muted-foreground">
              There are no messages left here. Write one below.
            </p>
          ) : null}
          <ol className="flex flex-col gap-8">
            {messages.map((message) => (
              <li key={message._id} className="flex flex-col gap-5">
                <p className="max-w-[85%] self-end rounded-2xl rounded-br-md bg-muted px-4 py-2.5 [overflow-wrap:anywhere] whitespace-pre-wrap">
                  <span className="sr-only">You: </span>
                  {message.prompt}
                </p>
                <Reply
                  // A retry is another reply: it starts clean.
                  key={message.responseStreamId}
                  message={message}
                  driven={
                    driven.has(message.responseStreamId) ||
                    orphans.has(message.responseStreamId)
                  }
                  onRetry={() => props.onRetry(message._id)}
                  onDelete={() => props.onDelete(message._id)}
                />
              </li>
            ))}
          </ol>
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

function Loading() {
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

/** Lines where text will be. */
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

function Unknown() {
  return (
    <div className="grid flex-1 place-items-center p-4">
      <div className="notice max-w-md" role="alert">
        <h2 className="text-lg font-semibold">There is nothing here</h2>
        <p className="text-muted-foreground">
          This conversation does not exist, or was deleted, or belongs to
          somebody else.
        </p>
        <Link href="/" className="button button-primary">
          Start a new one
        </Link>
      </div>
    </div>
  );
}
