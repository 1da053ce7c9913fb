/** Errors quote at most this much of a string. */
const LONGEST = 100;

/** Describes a value in an error: what it is, and the beginning if it is long. */
export function shown(value: unknown): string {
  switch (typeof value) {
    case "string":
      return value.length <= LONGEST
        ? JSON.stringify(value)
        : `${JSON.stringify(value.slice(0, LONGEST))}… (${value.length} characters)`;
    case "object": {
      if (value === null) return "null";
      // A reference, such as internal.chat, has every field.
      const name: unknown = value.constructor?.name;
      return `an object (${typeof name === "string" ? name : "without a class"})`;
    }
    case "function":
      return "a function";
    default:
      return String(value);
  }
}

/** Checks the mark, not the class: an app may have two copies of `convex`. */
export function isConvexError(thrown: unknown): thrown is { data: unknown } {
  return Symbol.for("ConvexError") in (Object(thrown) as object);
}

/** The message for the user in a `ConvexError`'s data: the data itself, or the message in it. */
export function messageOf(data: unknown): string | undefined {
  if (typeof data === "string") return data;
  const { message } = Object(data) as { message?: unknown };
  return typeof message === "string" ? message : undefined;
}
