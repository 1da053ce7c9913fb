// convex/model.ts
/** Stands in for your model. */
export async function* reply(prompt: string, signal: AbortSignal) {
  for (const token of ["You ", "said: ", prompt]) {
    signal.throwIfAborted();
    yield await Promise.resolve(token);
  }
}
