/** Percentiles, prices, sizes, and the machine. */
import { cpus, totalmem } from "node:os";
import { fileURLToPath } from "node:url";
import { brotliCompressSync, gzipSync } from "node:zlib";
import { build, type BuildOptions } from "esbuild";
import type { Counters } from "../test/local-deployment/deployment.js";

/** The least of the values that the share `p` (0 to 1) of them does not exceed. */
export function percentile(values: readonly number[], p: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.ceil(p * sorted.length) - 1] ?? NaN;
}

export function median(values: readonly number[]): number {
  return percentile(values, 0.5);
}

/*
 * What Convex charges beyond what a plan includes: the Professional plan in the
 * US, as https://docs.convex.dev/production/state/limits had it in November 2026
 * ("Functions: function calls", "Database: database I/O").
 */
const DOLLARS_PER_FUNCTION_CALL = 2 / 1e6;
const DOLLARS_PER_BYTE = 0.2 / 1e9;

/** Dollars for a thousand times what was counted, without bytes of index entries. */
export function costOfThousand(counted: Counters): number {
  const { functionCalls, bytesRead, bytesWritten } = counted;
  const io = (bytesRead + bytesWritten) * DOLLARS_PER_BYTE;
  return 1000 * (functionCalls * DOLLARS_PER_FUNCTION_CALL + io);
}

/** An entry with its dependencies, as a browser would get it. */
export async function bundle(
  entry: URL,
  options: BuildOptions,
): Promise<Uint8Array> {
  const { outputFiles } = await build({
    ...{ bundle: true, minify: true, format: "esm", ...options },
    entryPoints: [fileURLToPath(entry)],
    write: false,
  });
  return outputFiles[0]!.contents;
}

/** The bytes of an entry with its dependencies, without its peers. */
export async function sizeOf(entry: URL) {
  const code = await bundle(entry, {
    external: ["convex", "convex/*", "react", "react/*", "react-dom"],
  });
  return {
    minified: code.length,
    gzip: gzipSync(code, { level: 9 }).length,
    brotli: brotliCompressSync(code).length,
  };
}

/** Describes this machine. */
export function machine(): string {
  const [cpu] = cpus();
  return `${cpu?.model.trim()}, ${cpus().length} cores, ${Math.round(totalmem() / 2 ** 30)} GiB`;
}
