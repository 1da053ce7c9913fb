/** Stand-ins for the models of the documents' apps. */
async function* write<T>(parts: T[], signal: AbortSignal) {
  for (const part of parts) {
    signal.throwIfAborted();
    yield await Promise.resolve(part);
  }
}

export const reply = (prompt: string, signal: AbortSignal) =>
  write(["You ", "said: ", prompt], signal);

export const continueStory = (soFar: string, signal: AbortSignal) =>
  write([soFar === "" ? "Once upon " : "for ", "a time."], signal);

export const think = (delta: string, signal: AbortSignal) =>
  write([{ type: "text", delta }], signal);
