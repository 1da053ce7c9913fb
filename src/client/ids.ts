/**
 * Whether this may be the id of a stream. It often comes straight from a
 * request, where it may be missing, or half a character, which Convex takes as
 * an argument of nothing.
 */
export function mayBeId(streamId: unknown): streamId is string {
  return typeof streamId === "string" && !/\p{Surrogate}/u.test(streamId);
}
