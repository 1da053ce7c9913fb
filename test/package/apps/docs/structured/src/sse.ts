// src/sse.ts
/** Parses a line of server-sent events. Use it in place of the schema. */
export const parseEvent = (line: string): unknown =>
  line.startsWith("data: {") ? JSON.parse(line.slice(6)) : undefined;
