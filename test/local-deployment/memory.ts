import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";

/** What a process has (bytes). */
export interface Memory {
  rss: number;
  heap: number;
}

let gc: (() => void) | undefined;

/** The memory of this process, once its garbage has been collected. */
export async function memory(): Promise<Memory> {
  setFlagsFromString("--expose-gc");
  gc ??= runInNewContext("gc") as () => void;
  // What is finalized in one round lets go of more in the next.
  for (let round = 0; round < 3; round++) {
    gc();
    await new Promise((goOn) => setTimeout(goOn, 20));
  }
  const { rss, heapUsed } = process.memoryUsage();
  return { rss, heap: heapUsed };
}
