/**
 * The text of a body, as it arrives, in whole characters. Throws where the
 * connection breaks; a character that was cut in two there is left out.
 */
export async function* textOf(
  body: ReadableStream<Uint8Array>,
): AsyncGenerator<string, void> {
  // Without `ignoreBOM`, a text that begins with U+FEFF would lose it, and all
  // offsets would be off by one.
  const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
  const reader = body.getReader();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      const text = decoder.decode(value, { stream: true });
      if (text !== "") yield text;
    }
  } finally {
    // Whoever stops reading has no use for the rest. It may have failed already.
    reader.cancel().catch(() => {});
  }
}
