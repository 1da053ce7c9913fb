/** What a browser does that drives a stream, without a browser. */

export interface Driven {
  /** From request to first byte, and to the end of the response (ms). */
  firstByte: number;
  took: number;
  characters: number;
}

export async function drive(
  siteUrl: string,
  streamId: string,
  planQuery: string,
): Promise<Driven> {
  const begin = performance.now();
  const response = await fetch(`${siteUrl}/write?${planQuery}`, {
    method: "POST",
    body: JSON.stringify({ streamId }),
  });
  let firstByte = NaN;
  let text = "";
  const decoder = new TextDecoder();
  for await (const bytes of response.body ?? []) {
    if (text === "") firstByte = performance.now() - begin;
    text += decoder.decode(bytes, { stream: true });
  }
  const took = performance.now() - begin;
  return { firstByte, took, characters: text.length };
}
