export type LineFormat = "ndjson" | "sse";

/** What a line says in each of two protocols. */
export const eventOf: Record<LineFormat, (line: string) => unknown> = {
  ndjson: (line) => JSON.parse(line) as unknown,
  sse: (line) => {
    if (!line.startsWith("data: ")) throw new Error("This is half a line.");
    return JSON.parse(line.slice("data: ".length)) as unknown;
  },
};
