import { getConvexSize, type Value } from "convex/values";

const MiB = 1024 * 1024;
const MAX_DOCUMENT_BYTES = MiB;
const MAX_VALUE_BYTES = 16 * MiB;
export const MAX_RESPONSE_BYTES = 20 * MiB;

/**
 * Throws if a function's arguments or its result could not cross the boundary
 * of a deployment.
 *
 * @param what How the message names the value, e.g. `Arguments of "lib:append"`.
 */
export function checkTransferable(what: string, value: unknown): void {
  checkUnicode(what, value);
  const size = sizeOf(value);
  if (size > MAX_VALUE_BYTES) {
    throw new Error(
      `${what} too large (${inMiB(size)} > maximum size ${inMiB(MAX_VALUE_BYTES)})`,
    );
  }
}

/** Throws if a document could not be stored on a deployment. */
export function checkDocument(table: string, doc: unknown): void {
  checkUnicode(`A document in table "${table}"`, doc);
  const size = sizeOf(doc);
  if (size > MAX_DOCUMENT_BYTES) {
    throw new Error(
      `Value is too large (${inMiB(size)} > maximum size ${inMiB(MAX_DOCUMENT_BYTES)}): a document in table "${table}"`,
    );
  }
}

function sizeOf(value: unknown): number {
  return value === undefined ? 0 : getConvexSize(value as Value);
}

function inMiB(bytes: number): string {
  return `${(bytes / MiB).toFixed(2)} MiB`;
}

function checkUnicode(what: string, value: unknown): void {
  const found = findIllFormed(value);
  if (found === null) return;
  throw new Error(
    `${what} contains a string that is not valid Unicode: an unpaired surrogate at position ${found}. Cut strings between code points, not inside one.`,
  );
}

/** The position of the first unpaired surrogate in any string of the value, or null. */
function findIllFormed(value: unknown): number | null {
  if (typeof value === "string") {
    const position = value.search(/\p{Surrogate}/u);
    return position < 0 ? null : position;
  }
  if (typeof value !== "object" || value === null) return null;
  for (const [key, item] of Object.entries(value)) {
    const found = findIllFormed(key) ?? findIllFormed(item);
    if (found !== null) return found;
  }
  return null;
}
