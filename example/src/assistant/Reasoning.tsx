import { ChevronRight } from "lucide-react";
import { useState } from "react";

/** The model's reasoning. Open while the model thinks, then closed, unless the reader chooses otherwise. */
export function Reasoning(props: { text: string; live: boolean }) {
  const [choice, setChoice] = useState<boolean>();
  const open = choice ?? props.live;
  return (
    <details open={open} className="group text-sm text-muted-foreground">
      <summary
        className="flex w-fit items-center gap-1.5 rounded-md py-1 pr-2 font-medium select-none hover:text-foreground [&::-webkit-details-marker]:hidden"
        onClick={(event) => {
          event.preventDefault();
          setChoice(!open);
        }}
      >
        <ChevronRight
          size={15}
          className="transition-transform group-open:rotate-90"
          aria-hidden
        />
        {props.live ? "Thinking…" : "Thoughts"}
      </summary>
      <p className="mt-1 ml-[7px] border-l border-border pl-4 leading-relaxed whitespace-pre-wrap">
        {props.text}
      </p>
    </details>
  );
}
