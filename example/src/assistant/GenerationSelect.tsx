import type { Infer } from "convex/values";
import type { generation } from "../../convex/schema";

export type Generation = Infer<typeof generation>;

const labels: Record<Generation, string> = {
  request: "in this page’s HTTP request",
  action: "in a scheduled action",
  node: "in a scheduled Node action",
};

/** Where the next reply is generated. */
export function GenerationSelect(props: {
  value: Generation;
  onChange: (generation: Generation) => void;
}) {
  return (
    <div className="mx-auto flex w-full max-w-[46rem] justify-end px-5 pb-1.5 text-xs text-muted-foreground">
      <label className="flex items-center gap-1">
        The model runs
        <select
          className="cursor-pointer rounded-md bg-background px-1 py-1 font-medium text-foreground hover:bg-muted"
          value={props.value}
          onChange={(event) => {
            props.onChange(event.currentTarget.value as Generation);
          }}
        >
          {Object.entries(labels).map(([value, label]) => (
            <option key={value} value={value}>
              {label}
            </option>
          ))}
        </select>
      </label>
    </div>
  );
}
