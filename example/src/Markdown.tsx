import { code } from "@streamdown/code";
import { memo, type ReactNode } from "react";
import { Streamdown } from "streamdown";

/** Markdown that may still be streaming in. Unfinished blocks render as if complete. */
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
      {props.live ? withoutTableHead(props.text) : props.text}
    </Streamdown>
  );
});

/**
 * Leaves out a table's head at the end of the text until the line below it is
 * complete. Before that, Markdown takes the head for a paragraph full of pipes.
 */
function withoutTableHead(text: string): string {
  const lines = text.split("\n");
  let first = lines.length - 1;
  while (first > 0 && lines[first - 1]?.startsWith("|")) first--;
  // The last line is unfinished; a table shows once two lines before it are whole.
  const isHead =
    lines[first]?.startsWith("|") === true && first > lines.length - 3;
  return isHead ? lines.slice(0, first).join("\n") : text;
}

/** A table may be wider than a small screen, so it scrolls, by keyboard too. */
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

// Created once: a new object would re-render every block.
const plugins = { code };
const components = { table: Table };
const controls = { code: { copy: true, download: false } };
const linkSafety = { enabled: false };
