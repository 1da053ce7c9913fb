/** `readStream` in a separate process, which prints what it reads as lines of JSON. */
import { readStream } from "../../src/browser/index.js";

const [url = "", streamId = "", from] = process.argv.slice(2);
const print = (line: object) => console.log(JSON.stringify(line));
const text = readStream(url, { streamId, from: Number(from) });
try {
  for await (const piece of text) print({ piece });
  print({ status: text.status });
} catch (error) {
  print({ status: `refused: ${(error as { status: number }).status}` });
}
