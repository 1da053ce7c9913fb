/**
 * What Convex charges beyond what a plan includes: the Professional plan in the
 * US, in dollars, as https://docs.convex.dev/production/state/limits had it in
 * November 2026 ("Functions: function calls", "Database: database I/O").
 */
import type { Counters } from "../test/local-deployment/deployment.js";

const DOLLARS_PER_FUNCTION_CALL = 2 / 1e6;
const DOLLARS_PER_BYTE = 0.2 / 1e9;

/** Dollars for a thousand times what was counted. Bytes of index entries are not among it. */
export function costOfThousand({
  functionCalls,
  bytesRead,
  bytesWritten,
}: Counters): number {
  const calls = functionCalls * DOLLARS_PER_FUNCTION_CALL;
  const io = (bytesRead + bytesWritten) * DOLLARS_PER_BYTE;
  return 1000 * (calls + io);
}
