/** Why tests of the suite are not for us: the package serves the reading of text. */
const reasons = {
  writing:
    "About writing, which the protocol leaves to the server: here it is stream() and generate().",
  seq: "Stream-Seq: writing.",
  producer: "Idempotent producers: writing.",
  ttl: "Streams here do not expire; the app deletes them.",
  forks: "Forks: writing.",
  subscriptions:
    "Subscriptions, which are an option of the suite and of servers.",
  json: "JSON mode, arrays of messages: streams here are text.",
  binary: "Compares bytes that are no UTF-8: streams here are text.",
  preflight: "OPTIONS, and CORS as a whole, is up to the app.",
};

/** Which tests of a group are run, and why the others are not. */
interface Choice {
  run: string[];
  leftOut?: [reason: string, tests: string[]][];
}

/**
 * What is run of the suite, group by group, in its order. A group with a reason
 * alone is left out as a whole.
 */
export const selection: Record<string, Choice | string> = {
  "Basic Stream Operations": {
    run: ["should properly isolate recreated stream after delete"],
    leftOut: [
      [
        reasons.writing,
        [
          "should create a stream",
          "should allow idempotent create with same config",
          "should reject create with different config (409)",
          "should delete a stream",
        ],
      ],
    ],
  },
  "Append Operations": {
    run: ["should append string data", "should append multiple chunks"],
    leftOut: [[reasons.seq, ["should enforce sequence ordering with seq"]]],
  },
  "Read Operations": {
    run: [
      "should read empty stream",
      "should read stream with data",
      "should read from offset",
    ],
  },
  "Long-Poll Operations": {
    run: [
      "should wait for new data with long-poll",
      "should return immediately if data already exists",
    ],
  },
  "HTTP Protocol": {
    run: [
      "should return correct headers on GET",
      "should return empty body with up-to-date for empty stream",
      "should read from offset",
    ],
    leftOut: [
      [
        reasons.writing,
        [
          "should return correct headers on PUT",
          "should return 200 on idempotent PUT with same config",
          "should return 409 on PUT with different config",
          "should return correct headers on POST",
          "should return 404 on POST to non-existent stream",
          "should return 409 on content-type mismatch",
          "should return 404 on DELETE non-existent stream",
          "should return 204 on successful DELETE",
        ],
      ],
      [
        reasons.seq,
        [
          "should enforce sequence ordering",
          'should enforce lexicographic seq ordering ("2" then "10" rejects)',
          'should allow lexicographic seq ordering ("09" then "10" succeeds)',
          "should reject duplicate seq values",
        ],
      ],
    ],
  },
  "Browser Security Headers": {
    run: [
      "should include X-Content-Type-Options: nosniff on GET responses",
      "should include X-Content-Type-Options: nosniff on HEAD responses",
      "should include Cross-Origin-Resource-Policy header on GET responses",
      "should include Cache-Control: no-store on HEAD responses",
      "should include X-Content-Type-Options: nosniff on long-poll responses",
      "should include security headers on error responses",
    ],
    leftOut: [
      [
        reasons.writing,
        [
          "should include X-Content-Type-Options: nosniff on PUT responses",
          "should include X-Content-Type-Options: nosniff on POST responses",
        ],
      ],
      [
        reasons.json,
        ["should include X-Content-Type-Options: nosniff on SSE responses"],
      ],
    ],
  },
  "TTL and Expiry Validation": reasons.ttl,
  "Case-Insensitivity": reasons.writing,
  "Content-Type Validation": reasons.writing,
  "HEAD Metadata": {
    run: [
      "should return metadata without body",
      "should return 404 for non-existent stream",
      "should return tail offset",
    ],
  },
  "Offset Validation and Resumability": {
    run: [
      "should accept -1 as sentinel for stream beginning",
      "should return same data for offset=-1 and no offset",
      "should accept offset=now as sentinel for current tail position",
      "should return correct tail offset for offset=now",
      "should be able to resume from offset=now result",
      "should work with offset=now on empty stream",
      "should return empty body for offset=now on non-JSON streams",
      "should support offset=now with long-poll mode (waits for data)",
      "should receive data with offset=now long-poll when appended",
      "should support offset=now with SSE mode",
      "should return 404 for offset=now on non-existent stream",
      "should return 404 for offset=now with long-poll on non-existent stream",
      "should return 404 for offset=now with SSE on non-existent stream",
      "should support offset=now with long-poll on empty stream",
      "should support offset=now with SSE on empty stream",
      "should reject malformed offset (contains comma)",
      "should reject offset with spaces",
      "should support resumable reads (no duplicate data)",
      "should return empty response when reading from tail offset",
    ],
    leftOut: [
      [
        reasons.json,
        ["should return empty JSON array for offset=now on JSON streams"],
      ],
    ],
  },
  "Protocol Edge Cases": {
    run: [
      "should handle PUT with initial body correctly",
      "should preserve data immutability by position",
      "should generate unique, monotonically increasing offsets",
      "should reject empty offset parameter",
      "should reject multiple offset parameters",
      "should ignore unknown query parameters",
    ],
    leftOut: [
      [
        reasons.writing,
        [
          "should reject empty POST body with 400",
          "should return Location header on 201",
          "should reject missing Content-Type on POST",
          "should accept PUT without Content-Type (use default)",
        ],
      ],
      [reasons.seq, ["should enforce case-sensitive seq ordering"]],
      [reasons.binary, ["should handle binary data with integrity"]],
    ],
  },
  "Long-Poll Edge Cases": {
    run: [
      "should require offset parameter for long-poll",
      "should generate Stream-Cursor header on long-poll responses",
      "should return immediately with Stream-Up-To-Date when data exists at offset",
      "should echo cursor and handle collision with jitter",
      "should return Stream-Cursor, Stream-Up-To-Date and Stream-Next-Offset on 204 timeout",
    ],
  },
  "TTL and Expiry Edge Cases": reasons.ttl,
  "HEAD Metadata Edge Cases": reasons.ttl,
  "TTL Expiration Behavior": reasons.ttl,
  "Caching and ETag": {
    run: [
      "should generate ETag on GET responses",
      "should return 304 Not Modified for matching If-None-Match",
      "should return 200 for non-matching If-None-Match",
      "should return new ETag after data changes",
    ],
    leftOut: [
      [
        reasons.preflight,
        ["should allow If-None-Match in CORS preflight responses"],
      ],
    ],
  },
  "Chunking and Large Payloads": {
    run: [],
    leftOut: [
      [reasons.binary, ["should handle chunk-size pagination correctly"]],
      [reasons.writing, ["should handle large payload appropriately"]],
    ],
  },
  "Read-Your-Writes Consistency": {
    run: [
      "should immediately read message after append",
      "should immediately read multiple appends",
      "should serve offset-based reads immediately after append",
    ],
  },
  "SSE Mode": {
    run: [
      "should return text/event-stream content-type for SSE requests",
      "should require offset parameter for SSE mode",
      "should stream data events via SSE",
      "base64 SSE catch-up pairs every data event with a control event",
      "should send control events with offset",
      "should generate streamCursor in SSE control events",
      "should handle cursor collision with jitter in SSE mode",
      "should handle SSE for empty stream with correct offset",
      "should send upToDate flag in SSE control events when caught up",
      "should have correct SSE headers (no Content-Length, proper Cache-Control)",
      "should handle newlines in text/plain payloads",
      "should prevent CRLF injection in payloads - embedded event boundaries become literal data",
      "should prevent CRLF injection - LF-only attack vectors",
      "should prevent CRLF injection - carriage return only attack vectors",
      "should generate unique, monotonically increasing offsets in SSE mode",
      "should support reconnection with last known offset",
      "should auto-detect binary streams and return base64 encoded data in SSE mode",
      "should include Stream-SSE-Data-Encoding header for binary streams",
      "should NOT include Stream-SSE-Data-Encoding header for text/plain streams",
      "should base64 encode data events only, control events remain JSON",
      "should handle empty binary payload with auto-detected base64 encoding",
      "should auto-detect base64 encoding for application/x-protobuf streams",
      "should handle offset=now with auto-detected base64 encoding for binary streams",
    ],
    leftOut: [
      [
        reasons.json,
        [
          "should accept live=sse query parameter for application/json",
          "JSON SSE catch-up pairs every data event with a control event",
          "should wrap JSON data in arrays for SSE and produce valid JSON",
          "should handle JSON payloads with embedded newlines safely",
          "should NOT include Stream-SSE-Data-Encoding header for application/json streams",
        ],
      ],
      [
        reasons.binary,
        [
          "should handle large binary payload with auto-detected base64 encoding",
          "should handle binary data with special bytes using auto-detected base64 encoding",
          "should auto-detect base64 encoding for image/png streams",
        ],
      ],
    ],
  },
  "JSON Mode": reasons.json,
  "Property-Based Tests (fast-check) > Byte-Exactness Property": reasons.binary,
  "Property-Based Tests (fast-check) > Operation Sequence Properties": {
    run: ["offsets are always monotonically increasing"],
    leftOut: [
      [
        reasons.binary,
        [
          "random operation sequences maintain stream invariants",
          "read-your-writes: data is immediately visible after append",
        ],
      ],
    ],
  },
  "Property-Based Tests (fast-check) > Immutability Properties": {
    run: ["data at offset never changes after additional appends"],
  },
  "Property-Based Tests (fast-check) > Offset Validation Properties": {
    run: ["should reject offsets with invalid characters"],
  },
  "Property-Based Tests (fast-check) > Sequence Ordering Properties":
    reasons.seq,
  "Property-Based Tests (fast-check) > Concurrent Writer Stress Tests": {
    run: [
      "concurrent appends without seq - all data is persisted",
      "mixed readers and writers - readers see consistent state",
    ],
    leftOut: [
      [
        reasons.seq,
        [
          "concurrent writers with sequence numbers - server handles gracefully",
          "concurrent writers racing with incrementing seq values",
        ],
      ],
    ],
  },
  "Property-Based Tests (fast-check) > State Hash Verification": {
    run: [
      "replay produces identical content hash",
      "content hash changes with each append",
      "empty stream has consistent hash",
      "deterministic ordering - same data in same order produces same hash",
    ],
  },
  "Idempotent Producer Operations": reasons.producer,
  "Stream Closure > Create with Stream-Closed": {
    run: [
      "create-closed-stream-with-body: PUT with body + Stream-Closed: true",
    ],
    leftOut: [
      [
        reasons.writing,
        [
          "create-closed-stream: PUT with Stream-Closed: true creates closed stream",
          "create-closed-returns-header: Response includes Stream-Closed: true",
        ],
      ],
    ],
  },
  "Stream Closure > Close Operations": {
    run: ["close-with-final-append: POST with body + Stream-Closed: true"],
    leftOut: [
      [
        reasons.writing,
        [
          "close-stream-empty-post: POST with Stream-Closed: true, empty body closes stream",
          "close-returns-offset-and-header: Response includes Stream-Next-Offset and Stream-Closed: true",
          "close-idempotent: Closing already-closed stream (empty body) returns 204",
          "close-only-ignores-content-type: Close-only with mismatched Content-Type still succeeds",
          "append-to-closed-stream-409: Append to closed stream returns 409 with Stream-Closed: true header",
          "append-and-close-to-closed-stream-409: POST with body + Stream-Closed: true to already-closed stream returns 409",
        ],
      ],
    ],
  },
  "Stream Closure > HEAD with Stream Closure": {
    run: [
      "head-closed-stream: HEAD returns Stream-Closed: true header",
      "head-open-stream-no-closed-header: HEAD on open stream does NOT have Stream-Closed header",
    ],
  },
  "Stream Closure > Read Closed Streams (Catch-up)": {
    run: [
      "read-closed-stream-at-tail: Returns Stream-Closed: true at tail of closed stream",
      "read-closed-stream-partial-no-closed: Partial read of closed stream does NOT include Stream-Closed",
      "read-closed-stream-empty-body-eof: At tail of closed stream: 200 OK, empty body, Stream-Closed: true",
    ],
  },
  "Stream Closure > Long-poll with Stream Closure": {
    run: [
      "longpoll-closed-stream-immediate: No wait when closed stream at tail, returns immediately",
      "longpoll-closed-returns-204-with-header: Returns 204 with Stream-Closed: true",
    ],
  },
  "Stream Closure > SSE with Stream Closure": {
    run: [
      "sse-closed-stream-control-event: Final control event has streamClosed: true",
      "sse-closed-stream-no-cursor: streamCursor omitted when streamClosed is true",
      "sse-closed-stream-connection-closes: Connection closes after final event",
      "sse-live-reader-receives-final-append-on-close: live reader at tail receives data appended atomically with the close",
    ],
  },
  "Stream Closure > Idempotent Producers with Stream Closure": reasons.producer,
  "Stream Closure > Edge Cases": {
    run: [
      "offset-now-on-closed-stream: offset=now on closed stream returns Stream-Closed: true",
      "delete-closed-stream: Deleting a closed stream removes it (returns 404 after)",
    ],
    leftOut: [
      [
        reasons.writing,
        [
          "409-includes-stream-offset: 409 for closed stream includes Stream-Next-Offset header",
          "close-nonexistent-stream-404: POST with Stream-Closed to nonexistent stream returns 404",
          "producer-state-survives-close: Stale-epoch producer gets 403, not 409 STREAM_CLOSED",
          "empty-post-without-stream-closed-400: POST with empty body but no Stream-Closed returns 400",
        ],
      ],
      [
        reasons.producer,
        [
          "close-with-different-body-dedup: Retry close with different body deduplicates to original",
        ],
      ],
    ],
  },
  "Fork - Creation": reasons.forks,
  "Fork - Reading": reasons.forks,
  "Fork - Appending": reasons.forks,
  "Fork - Recursive": reasons.forks,
  "Fork - Live Modes": reasons.forks,
  "Fork - Deletion and Lifecycle": reasons.forks,
  "Fork - TTL and Expiry": reasons.forks,
  "Fork - JSON Mode": reasons.forks,
  "Fork - Edge Cases": reasons.forks,
  "Reserved subscription APIs": reasons.subscriptions,
};
