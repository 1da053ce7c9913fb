/**
 * A generator that can be left while it is waiting. By itself, one that waits
 * for its next value hears of `return()` only when that has come.
 *
 * @param leave Makes an end of the waiting.
 */
export function leavable<T>(
  generator: AsyncGenerator<T, void>,
  leave: () => void,
): AsyncGenerator<T, void> {
  const end = generator.return.bind(generator);
  generator.return = (value) => {
    leave();
    return end(value);
  };
  return generator;
}
