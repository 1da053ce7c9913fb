import { code } from "@streamdown/code";
import { memo } from "react";
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
      controls={controls}
      lineNumbers={false}
      linkSafety={linkSafety}
      codeBlockMaxHeight={0}
      tableMaxHeight={0}
    >
      {props.text}
    </Streamdown>
  );
});

// Made once: a new object would have every block rendered again.
const plugins = { code };
const controls = { table: false, code: { copy: true, download: false } };
const linkSafety = { enabled: false };
