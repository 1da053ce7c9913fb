import { useMutation, useQuery } from "convex/react";
import { Columns2, Sparkles, SquarePen, Trash2 } from "lucide-react";
import { Link, useLocation } from "wouter";
import { api } from "../../convex/_generated/api";
import { isLocal } from "../backend";
import { ConfirmButton } from "../ConfirmButton";

export function Sidebar(props: { current: string | undefined }) {
  const conversations = useQuery(api.conversations.list);
  const remove = useMutation(api.conversations.remove);
  const [, navigate] = useLocation();
  return (
    <div className="flex h-full flex-col gap-3 p-3">
      <p className="px-2 pt-2 font-semibold tracking-tight">
        Persistent text streaming
      </p>
      <Link href="/" className="button justify-start">
        <SquarePen size={16} aria-hidden /> New conversation
      </Link>
      <Link href="/assistant" className="button -mt-1 justify-start">
        <Sparkles size={16} aria-hidden /> Ask the assistant
      </Link>
      <nav
        aria-label="Conversations"
        className="-mx-1 min-h-0 flex-1 overflow-y-auto px-1"
      >
        {conversations?.length === 0 ? (
          <p className="px-2 py-2 text-sm text-muted-foreground">
            Your conversations will be listed here.
          </p>
        ) : null}
        <ul>
          {conversations?.map(({ _id, title, kind, writing }) => (
            <li
              key={_id}
              className={`group flex items-center rounded-lg pr-1 transition-colors ${_id === props.current ? "bg-foreground/8" : "hover:bg-foreground/5"}`}
            >
              <Link
                href={`${kind === "chat" ? "/c" : "/assistant"}/${_id}`}
                aria-current={_id === props.current ? "page" : undefined}
                className="min-w-0 flex-1 truncate rounded-lg px-2.5 py-2 text-sm max-md:py-3"
              >
                {kind === "assistant" ? (
                  <Sparkles
                    size={14}
                    className="mr-1.5 mb-0.5 inline text-muted-foreground"
                    role="img"
                    aria-label="Assistant:"
                  />
                ) : null}
                {title}
                {writing ? (
                  <span
                    role="img"
                    aria-label="A reply is being written"
                    className="ml-2 inline-block size-2 animate-pulse rounded-full bg-foreground/60"
                  />
                ) : null}
              </Link>
              <ConfirmButton
                label={`Delete “${title}”`}
                question="Delete?"
                icon={<Trash2 size={14} aria-hidden />}
                className="[@media(hover:hover)]:opacity-0 [@media(hover:hover)]:group-focus-within:opacity-100 [@media(hover:hover)]:group-hover:opacity-100"
                onConfirm={() => {
                  void remove({ conversationId: _id });
                  if (_id === props.current) {
                    navigate(kind === "chat" ? "/" : "/assistant");
                  }
                }}
              />
            </li>
          ))}
        </ul>
      </nav>
      <Link href="/compare" className="button justify-start">
        <Columns2 size={16} aria-hidden /> Side by side
      </Link>
      <p className="px-2 pb-1 text-xs leading-relaxed text-muted-foreground">
        {isLocal
          ? "Signed in as a guest. Only you can read these conversations, and they are gone when the demo stops."
          : "You are not signed in. Everyone who opens this page shares these conversations."}
      </p>
    </div>
  );
}
