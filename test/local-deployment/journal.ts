import {
  closeSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  readFileSync,
  writeSync,
} from "node:fs";
import { join } from "node:path";
import type { JSONValue } from "convex/values";
import type { FunctionPath } from "./functions.js";

/** One commit, as it is written down. Documents, arguments and results are Convex values as JSON. */
export interface Entry {
  /** When it was (ms since 1970, by the deployment's clock). No entry is older than the one before it. */
  at: number;
  /** What it did to which documents; null: it deleted the document. */
  writes: { component: string; id: string; doc: JSONValue }[];
  /** The functions that it scheduled. */
  jobs: {
    id: string;
    componentPath: string;
    path: FunctionPath;
    args: JSONValue;
    scheduledTime: number;
  }[];
  /** The client's mutation that it was, by `session/request`, and what that returned. */
  answer?: { to: string; result: JSONValue };
}

const NEWLINE = 10;

/**
 * The commits of a deployment in a file, one to a line, each added before
 * anybody learns of it. The process may end at any moment: a last line that is
 * not whole is a commit that nobody has heard of, and is cut off. (The machine
 * itself must not end: nothing is forced through to the disk.)
 *
 * One deployment at a time may use a folder.
 */
export class Journal {
  private readonly file: number;

  /** Opens the journal in a folder, which is made if it is not there, and reads what it holds. */
  static open(folder: string): { journal: Journal; entries: Entry[] } {
    mkdirSync(folder, { recursive: true });
    const path = join(folder, "journal.jsonl");
    const file = openSync(path, "a+");
    try {
      const bytes = readFileSync(path);
      const end = bytes.lastIndexOf(NEWLINE) + 1;
      const entries = parse(bytes.subarray(0, end), path);
      if (end < bytes.length) ftruncateSync(file, end);
      return { journal: new Journal(file), entries };
    } catch (error) {
      closeSync(file);
      throw error;
    }
  }

  private constructor(file: number) {
    this.file = file;
  }

  /** When this returns, the entry outlives the process. */
  append(entry: Entry): void {
    const line = Buffer.from(JSON.stringify(entry) + "\n");
    for (let written = 0; written < line.length;) {
      written += writeSync(this.file, line, written);
    }
  }

  close(): void {
    closeSync(this.file);
  }
}

function parse(bytes: Buffer, path: string): Entry[] {
  const entries: Entry[] = [];
  for (let start = 0; start < bytes.length;) {
    const end = bytes.indexOf(NEWLINE, start);
    try {
      entries.push(JSON.parse(bytes.toString("utf8", start, end)) as Entry);
    } catch (error) {
      throw new Error(
        `Line ${entries.length + 1} of ${path} is not JSON: something else has written to it. ` +
          `Delete the file to begin with no data, or choose another folder.`,
        { cause: error },
      );
    }
    start = end + 1;
  }
  return entries;
}
