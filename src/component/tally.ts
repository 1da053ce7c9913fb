/** How much one function may read, in bytes and documents. */
export interface ReadLimit {
  bytes: number;
  documents: number;
}

/**
 * How much one function reads of a stream. Convex's limits are 16 MiB and 32,000
 * documents. A row of version 0.3 of 1 MiB may exceed this one.
 */
export const READ_LIMIT: ReadLimit = {
  bytes: 14.9 * 1024 * 1024,
  documents: 31_000,
};

/** A running total of bytes and documents. */
export class Tally {
  private bytes = 0;
  private documents = 0;

  add(bytes: number, documents = 1): void {
    this.bytes += bytes;
    this.documents += documents;
  }

  reaches(limit: ReadLimit): boolean {
    return this.bytes >= limit.bytes || this.documents >= limit.documents;
  }

  /** The rest of a limit. */
  rest({ bytes, documents }: ReadLimit): ReadLimit {
    return {
      bytes: bytes - this.bytes,
      documents: documents - this.documents,
    };
  }

  exceeds(limit: ReadLimit): boolean {
    return this.bytes > limit.bytes || this.documents > limit.documents;
  }
}

/** The size of a chunk without its text (bytes, roughly): ids, times, field names. */
const CHUNK_OVERHEAD_BYTES = 150;
const encoder = new TextEncoder();

/** The size of a chunk's document (bytes). */
export function documentSize(text: string): number {
  return encoder.encode(text).length + CHUNK_OVERHEAD_BYTES;
}

/** The size of text as JSON (bytes). A control character takes six. */
export function jsonSize(text: string): number {
  return encoder.encode(JSON.stringify(text)).length;
}
