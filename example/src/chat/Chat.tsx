import { useMutation, useQuery } from "convex/react";
import { useEffect, useRef, useState } from "react";
import { Menu } from "lucide-react";
import { useLocation, useRoute } from "wouter";
import { api } from "../../convex/_generated/api";
import { ConnectionBanner } from "../ConnectionBanner";
import { ErrorBoundary, messageOf } from "../errors";
import { isLive } from "../status";
import { Announcement } from "./Announcement";
import { Composer } from "./Composer";
import { Conversation } from "./Conversation";
import { Sidebar } from "./Sidebar";
import { Welcome } from "./Welcome";

export function Chat() {
  const [, route] = useRoute("/c/:conversationId");
  const [, navigate] = useLocation();
  const conversationId = route?.conversationId;
  const messages = useQuery(
    api.chat.listMessages,
    conversationId === undefined ? "skip" : { conversationId },
  );
  const sendMessage = useMutation(api.chat.sendMessage);
  const retry = useMutation(api.chat.retry);
  const stop = useMutation(api.chat.stop);
  const deleteMessage = useMutation(api.chat.deleteMessage);

  // The streams that this page started, and so drives.
  const [driven, setDriven] = useState<ReadonlySet<string>>(new Set());
  const drive = (streamId: string) =>
    setDriven((before) => new Set(before).add(streamId));

  // Why the last thing that the user did could not be done.
  const [problem, setProblem] = useState<string | null>(null);
  async function attempt(work: () => Promise<void>): Promise<boolean> {
    setProblem(null);
    try {
      await work();
      return true;
    } catch (error) {
      setProblem(messageOf(error));
      return false;
    }
  }

  const composer = useRef<HTMLTextAreaElement>(null);
  const focusComposer = () => composer.current?.focus();

  const live = messages?.findLast((message) => isLive(message.status));
  const stopLive =
    live &&
    (() =>
      void attempt(async () => {
        await stop({ streamId: live.responseStreamId });
      }));

  // Escape stops from wherever the focus is, and so has to listen to the page.
  const onEscape = useRef<(() => void) | undefined>(undefined);
  useEffect(() => {
    onEscape.current = stopLive;
  });
  useEffect(() => {
    const onKeyDown = (event: KeyboardEvent) => {
      const inDialog = document.querySelector("dialog[open]") !== null;
      if (event.key === "Escape" && !event.defaultPrevented && !inDialog) {
        onEscape.current?.();
      }
    };
    window.addEventListener("keydown", onKeyDown);
    return () => window.removeEventListener("keydown", onKeyDown);
  }, []);

  // Not on touch screens, where it would bring up the keyboard.
  useEffect(() => {
    if (window.matchMedia("(pointer: fine)").matches) {
      composer.current?.focus();
    }
  }, [conversationId]);

  const send = (prompt: string) =>
    attempt(async () => {
      const sent = await sendMessage({ prompt, conversationId });
      drive(sent.streamId);
      if (sent.conversationId !== conversationId) {
        navigate(`/c/${sent.conversationId}`);
      }
    });

  const menu = useRef<HTMLDialogElement>(null);
  return (
    <div className="grid h-dvh grid-cols-[minmax(0,1fr)] md:grid-cols-[17rem_minmax(0,1fr)]">
      <aside className="hidden min-h-0 border-r border-border bg-sidebar md:block">
        <Sidebar current={conversationId} />
      </aside>
      <dialog
        ref={menu}
        aria-label="Conversations"
        className="m-0 h-dvh max-h-none w-72 max-w-[85vw] border-r border-border bg-sidebar text-foreground backdrop:bg-black/40"
        onClick={(event) => {
          // On the backdrop, or on anything in it that leads elsewhere.
          const target = event.target as HTMLElement;
          if (target === event.currentTarget || target.closest("a") !== null) {
            event.currentTarget.close();
          }
        }}
      >
        <Sidebar current={conversationId} />
      </dialog>

      <div className="relative flex min-h-0 min-w-0 flex-col">
        <header className="flex h-12 shrink-0 items-center gap-2 border-b border-border px-2 md:hidden">
          <button
            type="button"
            className="icon-button h-10 w-10"
            aria-label="Conversations"
            onClick={() => menu.current?.showModal()}
          >
            <Menu size={20} aria-hidden />
          </button>
          <span className="font-semibold">Persistent text streaming</span>
        </header>
        <ConnectionBanner />
        <main className="flex min-h-0 flex-1 flex-col">
          <h1 className="sr-only">Chat</h1>
          <ErrorBoundary key={conversationId}>
            {conversationId === undefined ? (
              <Welcome onPick={(prompt) => void send(prompt)} />
            ) : (
              <Conversation
                messages={messages}
                driven={driven}
                onRetry={(messageId) =>
                  void attempt(async () => {
                    drive((await retry({ messageId })).streamId);
                    focusComposer();
                  })
                }
                onDelete={(messageId) =>
                  void attempt(async () => {
                    await deleteMessage({ messageId });
                    focusComposer();
                  })
                }
              />
            )}
          </ErrorBoundary>
          {messages === null ? null : (
            // As wide as the messages, which have room for a scrollbar beside them.
            <div className="shrink-0 overflow-hidden md:[scrollbar-gutter:stable_both-edges]">
              <Composer
                ref={composer}
                problem={problem}
                onEdit={() => setProblem(null)}
                onSend={send}
                onStop={stopLive}
              />
            </div>
          )}
        </main>
        <Announcement
          status={
            messages?.findLast((m) => driven.has(m.responseStreamId))?.status
          }
        />
      </div>
    </div>
  );
}
