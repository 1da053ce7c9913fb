/** How much an app gets by importing the package. */
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { brotliCompress, gzip } from "node:zlib";
import { build } from "esbuild";

/** In bytes. */
export interface Size {
  minified: number;
  gzip: number;
  brotli: number;
}

/** Of an entry with its dependencies; its peers are there anyway. */
export async function sizeOf(entry: URL): Promise<Size> {
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
    gzip: (await promisify(gzip)(code, { level: 9 })).length,
    brotli: (await promisify(brotliCompress)(code)).length,
  };
}
