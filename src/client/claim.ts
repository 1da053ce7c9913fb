import type { GenericActionCtx, GenericDataModel } from "convex/server";
import type { ComponentApi } from "../component/_generated/component.js";
import type { StreamStatus } from "../shared.js";
import type { ClaimedStream } from "./saver.js";
import { retry } from "../time.js";

type ActionCtx = GenericActionCtx<GenericDataModel>;

/** The `ctx` of any query, mutation or action. */
export type RunQueryCtx = Pick<ActionCtx, "runQuery">;

/** The `ctx` of any mutation or action. */
export type RunMutationCtx = Pick<ActionCtx, "runMutation">;

/** The `ctx` of any action. Writers read their stream's status between saves. */
export type RunActionCtx = RunQueryCtx & RunMutationCtx;

const CLAIM_ATTEMPTS = 5;

/**
 * Claims a stream for one writer. Exactly one caller gets it; with `takeOver`, each
 * one takes it from the one before.
 *
 * @returns The stream to append to. Otherwise the reason: the status of a stream that
 *   is already claimed or has ended, or null if there is no such stream.
 */
export async function claim(
  lib: ComponentApi["lib"],
  ctx: RunActionCtx,
  streamId: string,
  timeoutMs: number,
  takeOver = false,
): Promise<{ stream: ClaimedStream } | { status: StreamStatus | null }> {
  if (!mayBeId(streamId)) return { status: null };
  // The name makes a claim repeatable: a claim whose answer was lost is still ours.
  // 48 bits are enough to tell a stream's writers apart.
  const writer = crypto.randomUUID().slice(0, 13);
  const { claimed, status, start } = await retry(CLAIM_ATTEMPTS, () =>
    ctx.runMutation(lib.claim, { streamId, writer, timeoutMs, takeOver }),
  );
  if (!claimed) return { status };
  return {
    stream: {
      start,
      timeoutMs,
      append: (start, text, last) =>
        ctx.runMutation(lib.append, { streamId, writer, start, text, ...last }),
      status: () => ctx.runQuery(lib.getClaim, { streamId, writer }),
    },
  };
}

/**
 * Whether this can be the id of a stream. It often comes straight from a request,
 * where it may be missing or contain half a character, which Convex rejects as an
 * argument.
 */
export function mayBeId(streamId: unknown): streamId is string {
  return typeof streamId === "string" && !/\p{Surrogate}/u.test(streamId);
}
