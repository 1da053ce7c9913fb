import { ArrowUp, Square } from "lucide-react";
import { useState, type Ref } from "react";
import { MAX_PROMPT_LENGTH } from "../../convex/limits";

/** The message box. A message that could not be sent stays in it. */
export function Composer({
  ref,
  problem,
  onEdit,
  onSend,
  onStop,
}: {
  ref: Ref<HTMLTextAreaElement>;
  problem: string | null;
  onEdit: () => void;
  /** Resolves to whether the message was sent. */
  onSend: (prompt: string) => Promise<boolean>;
  /** Stops the reply that is being written; `undefined` if there is none. */
  onStop: (() => void) | undefined;
}) {
  const [draft, setDraft] = useState("");
  const [sending, setSending] = useState(false);

  const excess = draft.trim().length - MAX_PROMPT_LENGTH;
  const canSend = draft.trim() !== "" && !sending && onStop === undefined;

  async function send() {
    if (!canSend) return;
    setSending(true);
    const sent = await onSend(draft);
    setSending(false);
    if (sent) setDraft("");
  }

  return (
    <form
      className="mx-auto w-full max-w-[46rem] shrink-0 px-4 pb-1 sm:pb-4"
      onSubmit={(event) => {
        event.preventDefault();
        void send();
      }}
    >
      {problem === null ? null : (
        <p role="alert" className="px-1 pb-2 text-sm text-danger">
          {problem}
        </p>
      )}
      <div className="flex items-end gap-2 rounded-2xl border border-border bg-card p-2 shadow-sm transition-colors focus-within:border-muted-foreground">
        <textarea
          ref={ref}
          aria-label="Your message"
          aria-describedby="composer-hint"
          placeholder="Ask something…"
          rows={1}
          className="max-h-48 min-h-9 flex-1 resize-none [field-sizing:content] bg-transparent px-2.5 py-1.5 max-md:py-2.5 outline-none placeholder:text-muted-foreground"
          value={draft}
          readOnly={sending}
          onChange={(event) => {
            setDraft(event.currentTarget.value);
            onEdit();
          }}
          onKeyDown={(event) => {
            // Enter also completes a Chinese or Japanese word.
            const composing = event.nativeEvent.isComposing;
            if (event.key === "Enter" && !event.shiftKey && !composing) {
              event.preventDefault();
              void send();
            }
          }}
        />
        {onStop === undefined ? (
          <button
            // A separate button, not the same one renamed: an accidental second
            // click on Send must not stop the reply.
            key="send"
            type="submit"
            aria-label="Send"
            title="Send (Enter)"
            className="button button-primary w-9 rounded-xl px-0"
            disabled={!canSend}
          >
            <ArrowUp size={18} aria-hidden />
          </button>
        ) : (
          <button
            key="stop"
            type="button"
            aria-label="Stop"
            title="Stop (Escape)"
            className="button w-9 rounded-xl px-0"
            onClick={(event) => {
              event.currentTarget.form?.querySelector("textarea")?.focus();
              onStop();
            }}
          >
            <Square size={13} fill="currentColor" aria-hidden />
          </button>
        )}
      </div>
      <p
        id="composer-hint"
        className="flex h-6 items-end justify-between gap-4 px-1 text-xs text-muted-foreground"
      >
        <span className="max-sm:sr-only">
          {sending
            ? "Sending…"
            : onStop === undefined
              ? "Enter sends, Shift + Enter starts a new line."
              : "Enter sends once this reply has ended. Escape stops it."}
        </span>
        {excess > -MAX_PROMPT_LENGTH / 10 ? (
          <span className={excess > 0 ? "font-medium text-danger" : ""}>
            {excess > 0
              ? `${excess.toLocaleString("en")} characters too many`
              : `${(-excess).toLocaleString("en")} characters left`}
          </span>
        ) : null}
      </p>
    </form>
  );
}
