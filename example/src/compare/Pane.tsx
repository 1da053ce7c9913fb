import type { StreamPage } from "@convex-dev/persistent-text-streaming";
import type { ReactNode } from "react";
import { Markdown } from "../Markdown";
import { useStickToBottom } from "../useStickToBottom";
import { isLive, statusLabel } from "../status";

/** One view of the stream, with its figures. */
export function Pane(props: {
  title: string;
  subtitle: string;
  /** `undefined` while there is no stream. */
  body: Pick<StreamPage, "text" | "status"> | undefined;
  figures: ReactNode;
}) {
  const { body } = props;
  const live = body !== undefined && isLive(body.status);
  const { scrollRef } = useStickToBottom();
  return (
    <article
      aria-label={props.title}
      aria-busy={live}
      data-status={body?.status}
      className="flex min-h-0 min-w-0 flex-col overflow-hidden rounded-xl border border-border bg-card max-lg:h-[26rem]"
    >
      <header className="flex items-baseline justify-between gap-3 border-b border-border px-4 py-3">
        <div className="min-w-0">
          <h2 className="font-semibold">{props.title}</h2>
          <p className="text-xs text-muted-foreground">{props.subtitle}</p>
        </div>
        <span className="text-xs text-muted-foreground">
          {body && statusLabel[body.status]}
        </span>
      </header>
      <dl className="grid grid-cols-2 gap-x-3 sm:grid-cols-4 gap-y-2 border-b border-border bg-sidebar px-4 py-2.5">
        {props.figures}
      </dl>
      <div
        ref={scrollRef}
        tabIndex={0}
        role="region"
        aria-label={`Text: ${props.title}`}
        className="min-h-0 flex-1 overflow-y-auto"
      >
        <div className="px-4 py-4">
          {body && <Markdown text={body.text} live={live} />}
        </div>
      </div>
    </article>
  );
}

export function Figure(props: { name: string; value: number; unit?: string }) {
  return (
    <div className="min-w-0">
      <dt className="truncate text-xs text-muted-foreground">{props.name}</dt>
      <dd className="truncate font-medium tabular-nums">
        {props.value.toLocaleString("en")}
        {props.unit === undefined ? null : (
          <span className="text-xs text-muted-foreground"> {props.unit}</span>
        )}
      </dd>
    </div>
  );
}
