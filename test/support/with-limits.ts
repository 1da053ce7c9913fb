import type { TestConvex } from "convex-test";
import { jsonToConvex, type JSONValue } from "convex/values";
import type {
  GenericActionCtx,
  GenericDataModel,
  GenericSchema,
  SchemaDefinition,
} from "convex/server";
import {
  checkDocument,
  checkTransferable,
} from "../local-deployment/value-limits.js";

/** A function may have this many operations in flight. */
const OPERATIONS = 1000;

type AsyncSyscall = (op: string, jsonArgs: string) => Promise<string>;

/**
 * Holds a test to the limits of a deployment that `transactionLimits: true`
 * does not know: 1 MiB for a document, 16 MiB for arguments and for results,
 * and strings of whole characters.
 * (`transactionLimits` has the bytes and documents read and written, the index
 * ranges and the functions scheduled.)
 *
 * @param t What `convexTest` gave. Its calls are checked, and those that
 *   queries and mutations make of each other; for an action, see
 *   `actionWithLimits`.
 */
export function withLimits<
  T extends TestConvex<SchemaDefinition<GenericSchema, boolean>>,
>(t: T): T {
  checkSyscalls();
  const withChecks = <A extends Pick<T, "query" | "mutation">>(
    accessor: A,
  ) => ({
    ...accessor,
    query: checked(accessor.query),
    mutation: checked(accessor.mutation),
  });
  return {
    ...withChecks(t),
    withIdentity: (identity: Parameters<T["withIdentity"]>[0]) =>
      withChecks(t.withIdentity(identity)),
  };
}

/** Checks what a test calls a function with, and what that returns. */
function checked<Call>(call: Call): Call {
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

/**
 * The `ctx` of an action, held to the limits of its calls, and to the
 * 1,000 operations that it may have in flight.
 */
export function actionWithLimits<
  Ctx extends Pick<
    GenericActionCtx<GenericDataModel>,
    "runQuery" | "runMutation"
  >,
>(ctx: Ctx): Ctx {
  let inFlight = 0;
  const operation = <Call>(call: Call): Call => {
    const run = checked(call) as (...args: unknown[]) => Promise<unknown>;
    return (async (...args: unknown[]) => {
      if (inFlight >= OPERATIONS) {
        throw new Error(
          `Too many concurrent operations in a function (limit: ${OPERATIONS}).`,
        );
      }
      inFlight++;
      try {
        return await run(...args);
      } finally {
        inFlight--;
      }
    }) as Call;
  };
  return {
    ...ctx,
    runQuery: operation(ctx.runQuery),
    runMutation: operation(ctx.runMutation),
  };
}

function checkedSyscall(call: AsyncSyscall): AsyncSyscall {
  return async (op, jsonArgs) => {
    switch (op) {
      case "1.0/insert":
      case "1.0/shallowMerge":
      case "1.0/replace":
        checkStrings(jsonArgs);
        return call(op, jsonArgs);
      case "1.0/runUdf":
        return checkedCall(call, op, jsonArgs);
      default:
        return call(op, jsonArgs);
    }
  };
}

async function checkedCall(
  call: AsyncSyscall,
  op: string,
  jsonArgs: string,
): Promise<string> {
  const { args } = JSON.parse(jsonArgs) as { args: JSONValue };
  checkTransferable("Arguments", jsonToConvex(args));
  const result = await call(op, jsonArgs);
  checkTransferable("Result", jsonToConvex(JSON.parse(result) as JSONValue));
  return result;
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
