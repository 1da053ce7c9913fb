import type { ComponentApi } from "../component/_generated/component.js";
import type { StreamStatus } from "../shared.js";
import type { RunActionCtx } from "./ctx.js";
import { mayBeId } from "./ids.js";
import type { ClaimedStream } from "./saver.js";
import { retry } from "../time.js";

const CLAIM_ATTEMPTS = 5;

/**
 * Claims a stream for one writer. Of any number of callers exactly one gets it.
 *
 * @returns The stream to append to; or why not: the status of a stream that
 *   another has claimed or that has ended, null for an id that names no stream.
 */
export async function claim(
  lib: ComponentApi["lib"],
  ctx: RunActionCtx,
  streamId: string,
): Promise<{ stream: ClaimedStream } | { status: StreamStatus | null }> {
  if (!mayBeId(streamId)) return { status: null };
  // The name makes a claim repeatable: a claim whose answer was lost is still ours.
  const writer = crypto.randomUUID();
  const { claimed, status } = await retry(CLAIM_ATTEMPTS, () =>
    ctx.runMutation(lib.claim, { streamId, writer }),
  );
  if (!claimed) return { status };
  return {
    stream: {
      append: (start, text, final) =>
        ctx.runMutation(lib.append, { streamId, writer, start, text, final }),
      status: () => ctx.runQuery(lib.getStreamStatus, { streamId }),
    },
  };
}
