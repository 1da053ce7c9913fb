// convex/model.ts
export async function* reply(prompt: string, signal: AbortSignal) {
  for (const word of ["You ", "said: ", prompt]) {
    signal.throwIfAborted();
    yield await Promise.resolve(word);
  }
}

export async function* continueStory(soFar: string, signal: AbortSignal) {
  for (const word of ["Once ", "upon ", "a ", "time."]) {
    signal.throwIfAborted();
    yield await Promise.resolve(soFar === "" ? word : word.toUpperCase());
  }
}
