import { Waves } from "lucide-react";
import type { AssistantMessage } from "../../convex/assistantMessages";
import type { TideTable } from "../../convex/tides";

type Call = Extract<
  AssistantMessage["parts"][number],
  { type: "tool-tideTable" }
>;

/** A tool call of the assistant: its input, its state and its result. */
export function TideTableCall({ part, live }: { part: Call; live: boolean }) {
  const state = stateOf(part, live);
  return (
    <section
      aria-label="Tide table"
      data-state={state}
      className="overflow-hidden rounded-xl border border-border bg-card text-sm"
    >
      <header className="flex items-center gap-2.5 px-4 py-2.5">
        <Waves size={16} className="shrink-0 text-primary" aria-hidden />
        <p className="min-w-0 flex-1 truncate">
          <span className="font-medium">Tide table</span>
          {part.input?.port === undefined ? null : (
            <span className="text-muted-foreground"> · {part.input.port}</span>
          )}
        </p>
        <p
          className={`flex items-center gap-2 text-xs ${state === "failed" ? "text-danger" : "text-muted-foreground"}`}
        >
          {state === "asking" || state === "running" ? (
            <span
              aria-hidden
              className="size-2 animate-[breathe_1.4s_ease-in-out_infinite] rounded-full bg-primary"
            />
          ) : null}
          {stateLabel[state]}
        </p>
      </header>
      {part.state === "output-available" ? (
        <Result table={part.output} />
      ) : part.state === "output-error" ? (
        <p className="border-t border-border px-4 py-2.5">{part.errorText}</p>
      ) : null}
    </section>
  );
}

type State = "asking" | "running" | "answered" | "failed" | "cut";

const stateLabel: Record<State, string> = {
  asking: "Asking…",
  running: "Looking it up…",
  answered: "Answered",
  failed: "Failed",
  cut: "Not finished",
};

function stateOf(part: Call, live: boolean): State {
  switch (part.state) {
    case "output-available":
      return "answered";
    case "output-error":
    case "output-denied":
      return "failed";
    case "input-streaming":
      return live ? "asking" : "cut";
    default:
      return live ? "running" : "cut";
  }
}

function Result({ table }: { table: TideTable }) {
  return (
    <table className="w-full border-t border-border tabular-nums">
      <caption className="sr-only">
        {table.port}, {table.day}, in UTC
      </caption>
      <thead className="text-left text-xs text-muted-foreground">
        <tr>
          <th className="px-4 pt-2 font-normal">Water</th>
          <th className="px-4 pt-2 font-normal">Time (UTC)</th>
          <th className="px-4 pt-2 text-right font-normal">Height</th>
        </tr>
      </thead>
      <tbody>
        {table.tides.map(({ kind, time, metres }) => (
          <tr key={time} className="last:[&>td]:pb-3">
            <td className="px-4 py-0.5 capitalize">{kind}</td>
            <td className="px-4 py-0.5">{time}</td>
            <td className="px-4 py-0.5 text-right">{metres.toFixed(1)} m</td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}
