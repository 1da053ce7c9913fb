import {
  closeSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  readFileSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import type { JSONValue } from "convex/values";

/** One commit, as it is written down. */
export interface Entry {
  /** When it was (ms since 1970, by the deployment's clock). No entry is older than the one before it. */
  at: number;
  /** The documents that it wrote, as JSON; null: it deleted the document. */
  writes: { component: string; id: string; doc: JSONValue }[];
}

/**
 * The commits of a deployment in a file, one per line, each added before anyone
 * learns of it. The process may end at any moment: a last line that is not whole
 * is a commit that no client knows of, and is cut off. Nothing is forced
 * through to the disk, so the machine itself must not end.
 */
export class Journal {
  /** What earlier processes committed. */
  readonly entries: Entry[];
  private readonly file: number;

  constructor(folder: string) {
    mkdirSync(folder, { recursive: true });
    const path = join(folder, "journal.jsonl");
    this.file = openSync(path, "a+");
    const bytes = readFileSync(path);
    const end = bytes.lastIndexOf("\n") + 1;
    if (end < bytes.length) ftruncateSync(this.file, end);
    const lines = bytes.toString("utf8", 0, end).split("\n").slice(0, -1);
    this.entries = lines.map((line) => JSON.parse(line) as Entry);
  }

  /** When this returns, the entry outlives the process. */
  append(entry: Entry): void {
    writeFileSync(this.file, `${JSON.stringify(entry)}\n`);
  }

  close(): void {
    closeSync(this.file);
  }
}
