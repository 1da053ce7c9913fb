/** A `Reading` in a separate process, which is told what to read, and then asked what it has. */
import { Reading } from "./reading.js";

process.once("message", (what: { url: string; id: string; text: string }) => {
  const reading = new Reading(what.url, what.id, what.text);
  process.on("message", () => process.send?.(reading.seen()));
});
