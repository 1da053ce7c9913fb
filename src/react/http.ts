import { textOf } from "../browser/request.js";
import { withoutQuery } from "../protocol.js";

/** How a request ended: with nothing to expect of it any more, or without any answer. */
export type HttpEnd = "over" | "lost";

/**
 * Makes a request and hands on the text of its body as it arrives. Never
 * rejects: how HTTP ends says nothing about the stream, the database does.
 */
export async function fetchText(
  url: string,
  init: () => RequestInit,
  onText: (text: string) => void,
): Promise<HttpEnd> {
  let request: RequestInit;
  try {
    request = init();
  } catch {
    // Neither the error, which may quote a token, nor the URL's query is for a log.
    console.error(
      `The stream cannot be asked for at ${withoutQuery(url)}: \`authToken\` or one of the \`headers\` is not a valid header. Their values are of one byte a character, without line breaks.`,
    );
    return "over";
  }
  let response: Response;
  try {
    response = await fetch(url, request);
  } catch {
    return "lost";
  }
  // No body: a 205, or a platform that cannot stream responses.
  if (!response.body) return "over";
  try {
    if (response.ok) {
      for await (const text of textOf(response.body)) onText(text);
    } else {
      await response.body.cancel();
    }
  } catch {
    // Cut off or aborted. A character that was cut in two comes whole from the
    // database.
  }
  return "over";
}
