import { randomBytes } from "node:crypto";
import { convexToJson, type Value } from "convex/values";

/** What a client is told about an error, in the words of a development deployment. */
export function failureOf(error: unknown) {
  const requestId = randomBytes(8).toString("hex");
  return {
    errorMessage: `[Request ID: ${requestId}] Server Error\nUncaught ${describeError(error)}`,
    errorData: isConvexError(error) ? convexToJson(error.data) : undefined,
  };
}

export function describeError(error: unknown): string {
  if (isConvexError(error)) {
    return `ConvexError: ${typeof error.data === "string" ? error.data : JSON.stringify(convexToJson(error.data))}`;
  }
  if (error instanceof Error) return `${error.name}: ${error.message}`;
  return String(error);
}

function isConvexError(error: unknown): error is { data: Value } {
  return (
    typeof error === "object" &&
    error !== null &&
    Symbol.for("ConvexError") in error
  );
}
