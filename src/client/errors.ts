/** The longest beginning of a string that an error quotes. */
const LONGEST = 100;

/** A value as an error names it: what it is, and not all of it, if it is long. */
export function shown(value: unknown): string {
  switch (typeof value) {
    case "string":
      return value.length <= LONGEST
        ? JSON.stringify(value)
        : `${JSON.stringify(value.slice(0, LONGEST))}… (${value.length} characters)`;
    case "object": {
      if (value === null) return "null";
      // A reference, such as internal.chat, has a field of any name.
      const name: unknown = value.constructor?.name;
      return `an object (${typeof name === "string" ? name : "without a class"})`;
    }
    case "function":
      return "a function";
    default:
      return String(value);
  }
}
