const suggestions = [
  "Why does the sea rise twice a day?",
  "Write a debounce function in TypeScript",
  "Put the planets in a table",
  "请用中文说说喝茶",
  "Bake bread, but fail half way",
  "Tell me a long story",
];

/** An empty conversation. */
export function Welcome(props: { onPick: (prompt: string) => void }) {
  return (
    <div className="flex flex-1 flex-col justify-center overflow-y-auto">
      <div className="mx-auto w-full max-w-[46rem] px-4 py-8">
        <h2 className="font-serif text-3xl leading-tight tracking-tight text-balance">
          Replies that stream, and stay.
        </h2>
        <p className="mt-3 max-w-[36rem] text-muted-foreground text-pretty">
          Each word reaches this page over HTTP as it is written, and the
          database a moment later. Reload half way, open a second window, cut
          the connection: the text goes on where it was.
        </p>
        <ul className="mt-8 grid gap-2 sm:grid-cols-2">
          {suggestions.map((suggestion) => (
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
