import type { ReactNode } from "react";

/** An empty conversation. */
export function Welcome(props: {
  title: string;
  /** The introduction. */
  children: ReactNode;
  suggestions: string[];
  onPick: (prompt: string) => void;
}) {
  return (
    <div className="flex flex-1 flex-col justify-center overflow-y-auto">
      <div className="mx-auto w-full max-w-[46rem] px-4 py-8">
        <h2 className="font-serif text-3xl leading-tight tracking-tight text-balance">
          {props.title}
        </h2>
        <p className="mt-3 max-w-[36rem] text-muted-foreground text-pretty">
          {props.children}
        </p>
        <ul className="mt-8 grid gap-2 sm:grid-cols-2">
          {props.suggestions.map((suggestion) => (
            <li key={suggestion}>
              <button
                type="button"
                className="button h-full min-h-11 w-full justify-start px-4 py-2.5 text-left font-normal"
                onClick={() => props.onPick(suggestion)}
              >
                {suggestion}
              </button>
            </li>
          ))}
        </ul>
      </div>
    </div>
  );
}
