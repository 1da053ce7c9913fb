/** Figures made of other figures, and the size of a package. */
import { fileURLToPath } from "node:url";
import { brotliCompressSync, gzipSync } from "node:zlib";
import { build } from "esbuild";
import type { Counters } from "../test/local-deployment/deployment.js";

/** The value below which the share `p` (0 to 1) of the values lies. */
export function percentile(values: readonly number[], p: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  const index = Math.min(sorted.length - 1, Math.floor(p * sorted.length));
  return sorted[index] ?? NaN;
}

export function median(values: readonly number[]): number {
  return percentile(values, 0.5);
}

/** Some results' figures combined, each by itself. */
export function combined<Name extends string>(
  results: readonly Record<Name, number>[],
  combine: (values: number[]) => number,
): Record<Name, number> {
  const names = Object.keys(results[0] ?? {}) as Name[];
  return Object.fromEntries(
    names.map((name) => [name, combine(results.map((one) => one[name]))]),
  ) as Record<Name, number>;
}

/** What more was counted than in another run. */
export function added<Figures extends object>(
  more: Figures,
  than: Figures,
): Figures {
  return combined(
    [more, than] as Record<string, number>[],
    ([a = 0, b = 0]) => a - b,
  ) as Figures;
}

/*
 * What Convex charges beyond what a plan includes: the Professional plan in the
 * US, as https://docs.convex.dev/production/state/limits had it in November 2026
 * ("Functions: function calls", "Database: database I/O").
 */
const DOLLARS_PER_FUNCTION_CALL = 2 / 1e6;
const DOLLARS_PER_BYTE = 0.2 / 1e9;

/** Dollars for a thousand times what was counted, without bytes of index entries. */
export function costOfThousand({
  functionCalls,
  bytesRead,
  bytesWritten,
}: Counters): number {
  const calls = functionCalls * DOLLARS_PER_FUNCTION_CALL;
  const io = (bytesRead + bytesWritten) * DOLLARS_PER_BYTE;
  return 1000 * (calls + io);
}

/** The bytes of an entry with its dependencies, without its peers. */
export async function sizeOf(entry: URL) {
  const { outputFiles } = await build({
    entryPoints: [fileURLToPath(entry)],
    bundle: true,
    minify: true,
    write: false,
    format: "esm",
    external: ["convex", "convex/*", "react", "react/*", "react-dom"],
  });
  const code = outputFiles[0]?.contents ?? new Uint8Array();
  return {
    minified: code.length,
    gzip: gzipSync(code, { level: 9 }).length,
    brotli: brotliCompressSync(code).length,
  };
}
