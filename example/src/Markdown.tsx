import { code } from "@streamdown/code";
import { memo, type ReactNode } from "react";
import { Streamdown } from "streamdown";

/** Markdown that may still be coming in: what is half finished is shown as if it were whole. */
export const Markdown = memo(function Markdown(props: {
  text: string;
  live: boolean;
}) {
  return (
    <Streamdown
      className="prose"
      plugins={plugins}
      isAnimating={props.live}
      components={components}
      controls={controls}
      lineNumbers={false}
      linkSafety={linkSafety}
      codeBlockMaxHeight={0}
    >
      {props.text}
    </Streamdown>
  );
});

/** A table may be wider than a small screen. Whoever has no mouse scrolls it with the arrow keys. */
function Table(props: { children?: ReactNode }) {
  return (
    <div
      role="region"
      aria-label="Table"
      tabIndex={0}
      data-streamdown="table-wrapper"
      className="my-4 border border-border"
    >
      <table className="w-full divide-y divide-border">{props.children}</table>
    </div>
  );
}

// Made once: a new object would have every block rendered again.
const plugins = { code };
const components = { table: Table };
const controls = { code: { copy: true, download: false } };
const linkSafety = { enabled: false };
