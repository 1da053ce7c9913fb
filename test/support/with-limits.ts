import type { TestConvex } from "convex-test";
import type { GenericSchema, SchemaDefinition } from "convex/server";
import { jsonToConvex, type JSONValue } from "convex/values";
import {
  checkDocument,
  checkTransferable,
} from "../local-deployment/value-limits.js";

type AsyncSyscall = (op: string, jsonArgs: string) => Promise<string>;

/**
 * Holds a test to the limits of a deployment that `transactionLimits: true`
 * does not know: 1 MiB for a document, 16 MiB for arguments and for results,
 * and strings of whole characters.
 * (`transactionLimits` has the bytes and documents read and written, the index
 * ranges and the functions scheduled.)
 *
 * @param t What `convexTest` gave. Its calls are checked, and those that
 *   queries and mutations make of each other.
 */
export function withLimits<
  T extends TestConvex<SchemaDefinition<GenericSchema, boolean>>,
>(t: T): T {
  checkSyscalls();
  return { ...t, query: checked(t.query), mutation: checked(t.mutation) };
}

/** Checks what a test, or an action, calls a function with, and what that returns. */
export function checked<Call>(call: Call): Call {
  const run = call as (called: unknown, args?: unknown) => Promise<unknown>;
  return (async (called: unknown, args?: unknown) => {
    checkTransferable("Arguments", args);
    const result = await run(called, args);
    if (typeof called !== "function") checkTransferable("Result", result);
    return result;
  }) as Call;
}

let checksSyscalls = false;

/** Gets between functions and `convex-test`, for all tests of a file. */
function checkSyscalls(): void {
  if (checksSyscalls) return;
  checksSyscalls = true;
  const there = globalThis as unknown as {
    Convex: { asyncSyscall: AsyncSyscall };
  };
  const { Convex } = there;
  there.Convex = Object.create(Convex, {
    asyncSyscall: { get: () => checkedSyscall(Convex.asyncSyscall) },
  }) as typeof Convex;
}

const WRITES = ["1.0/insert", "1.0/shallowMerge", "1.0/replace"];

function checkedSyscall(call: AsyncSyscall): AsyncSyscall {
  return async (op, jsonArgs) => {
    if (WRITES.includes(op)) checkStrings(jsonArgs);
    if (op !== "1.0/runUdf") return call(op, jsonArgs);
    const { args } = JSON.parse(jsonArgs) as { args: JSONValue };
    checkTransferable("Arguments", jsonToConvex(args));
    const result = await call(op, jsonArgs);
    checkTransferable("Result", jsonToConvex(JSON.parse(result) as JSONValue));
    return result;
  };
}

/** Only strings are large here, and a document has one of them. */
function checkStrings(jsonArgs: string): void {
  const { table = "", value } = JSON.parse(jsonArgs) as {
    table?: string;
    value: Record<string, JSONValue>;
  };
  const strings = Object.entries(value).filter(
    ([, field]) => typeof field === "string",
  );
  checkDocument(table, Object.fromEntries(strings));
}
