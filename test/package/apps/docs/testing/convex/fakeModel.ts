// convex/fakeModel.ts
/** A `fetch` that answers as OpenAI's API does, word by word. */
export function fakeModel(text: string): typeof fetch {
  const event = (choice: object) =>
    `data: ${JSON.stringify({ choices: [{ index: 0, ...choice }] })}\n\n`;
  return () => {
    const words = text.match(/\S+\s*/g) ?? [];
    const body = [
      ...words.map((content) => event({ delta: { content } })),
      event({ delta: {}, finish_reason: "stop" }),
      "data: [DONE]\n\n",
    ].join("");
    const headers = { "Content-Type": "text/event-stream" };
    return Promise.resolve(new Response(body, { headers }));
  };
}
