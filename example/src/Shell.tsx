import { useQuery } from "convex/react";
import { Menu } from "lucide-react";
import { useRef, type ReactNode } from "react";
import { api } from "../convex/_generated/api";
import { Sidebar } from "./chat/Sidebar";
import { ConnectionBanner } from "./ConnectionBanner";
import { useTitle } from "./useTitle";

/** The frame around a conversation: the list of conversations, and the state of the connection. */
export function Shell(props: {
  heading: string;
  /** The conversation on the page. */
  current: string | undefined;
  children: ReactNode;
}) {
  const menu = useRef<HTMLDialogElement>(null);
  const hasModel = useQuery(api.chat.hasModel) ?? true;
  const conversations = useQuery(api.conversations.list);
  const shown = conversations?.find(({ _id }) => _id === props.current);
  useTitle(shown?.title ?? props.heading);
  return (
    <div className="grid h-dvh grid-cols-[minmax(0,1fr)] md:grid-cols-[17rem_minmax(0,1fr)]">
      <aside className="hidden min-h-0 border-r border-border bg-sidebar md:block">
        <Sidebar current={props.current} />
      </aside>
      <dialog
        ref={menu}
        aria-label="Conversations"
        className="m-0 h-dvh max-h-none w-72 max-w-[85vw] border-r border-border bg-sidebar text-foreground backdrop:bg-black/40"
        onClick={(event) => {
          // A click on the backdrop, or on a link.
          const target = event.target as HTMLElement;
          if (target === event.currentTarget || target.closest("a") !== null) {
            event.currentTarget.close();
          }
        }}
      >
        <Sidebar current={props.current} />
      </dialog>

      <div className="relative flex min-h-0 min-w-0 flex-col">
        <header className="flex h-12 shrink-0 items-center gap-2 border-b border-border px-2 md:hidden">
          <button
            type="button"
            className="icon-button"
            aria-label="Conversations"
            onClick={() => menu.current?.showModal()}
          >
            <Menu size={20} aria-hidden />
          </button>
          <span className="font-semibold">Persistent text streaming</span>
        </header>
        <ConnectionBanner />
        <main
          tabIndex={-1}
          className="flex min-h-0 flex-1 flex-col outline-none"
        >
          <h1 className="sr-only">{props.heading}</h1>
          {props.children}
        </main>
        {hasModel ? null : (
          <p className="px-4 pb-2 text-center text-sm text-muted-foreground">
            No model is connected, so every reply is the same.{" "}
            <code>OPENAI_API_KEY</code> is not set.
          </p>
        )}
      </div>
    </div>
  );
}
