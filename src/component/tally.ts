/** What one function may read: so many bytes, so many documents. */
export interface ReadLimit {
  bytes: number;
  documents: number;
}

/**
 * What one function reads of a stream. Convex's limits are 16 MiB and 32,000
 * documents; this one may be passed by a row of version 0.3 of 1 MiB.
 */
export const READ_LIMIT: ReadLimit = {
  bytes: 14.9 * 1024 * 1024,
  documents: 31_000,
};

/** Bytes and documents, as they add up. */
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

  /** What is left of a limit. */
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

/** What a chunk takes beside its text (bytes, about): ids, times, names of fields. */
const CHUNK_OVERHEAD_BYTES = 150;
const encoder = new TextEncoder();

/** The size of a chunk's document (bytes). */
export function documentSize(text: string): number {
  return encoder.encode(text).length + CHUNK_OVERHEAD_BYTES;
}

/** The size of text on its way to a reader (bytes). A control character takes six there. */
export function jsonSize(text: string): number {
  return encoder.encode(JSON.stringify(text)).length;
}
