/** The Durable Streams protocol: its published client, and the reading part of its published suite. */
import { stream, type LiveMode } from "@durable-streams/client";
import { runConformanceTests } from "@durable-streams/server-conformance-tests";
import {
  afterAll,
  beforeEach,
  describe,
  expect,
  test,
  type RunnerTask,
} from "vitest";
import { startDeployment } from "../local-deployment/deployment.js";
import { story } from "../support/story.js";

const deployment = await startDeployment({
  functionsDir: "test/conformance/app",
  log: () => {},
});
afterAll(() => deployment.stop());

/** The tests of the suite that are left out, by reason. */
const leftOut: [reason: string, ...names: RegExp[]][] = [
  [
    "Writing is up to the server, and here it is stream() and generate().",
    /^Basic Stream Operations > (?!should properly isolate)/,
    /^HTTP Protocol > .*(PUT|POST|DELETE|mismatch)/,
    /on (PUT|POST) responses$/,
    /^(Case-Insensitivity|Content-Type Validation) > /,
    /^Protocol Edge Cases > .*(POST|PUT without|Location)/,
    / should handle large payload appropriately$/,
    /^Stream Closure > .*(closed-stream: PUT|create-closed-returns-header)/,
    /^Stream Closure > .*(close-(?!with-final)|append-\S+409|409-|empty-post)/,
    /seq(uence)? (ordering|values|numbers)|Sequence Ordering/,
    /[Pp]roducer|dedup/,
    /^Fork - /,
  ],
  [
    "JSON mode, arrays of messages: streams here are text.",
    /(?<!non-)JSON |application\/json|nosniff on SSE/,
  ],
  [
    "Compares bytes that are no UTF-8: streams here are text.",
    /binary data with (integrity|special)|large binary|image\/png|chunk-size/,
    /Byte-Exactness|random operation|read-your-writes:/,
  ],
  ["Streams here do not expire; the app deletes them.", /TTL|Expir/],
  ["CORS is up to the app.", /CORS/],
];

/** The full name of a test. */
const nameOf = ({ suite, name }: RunnerTask): string =>
  suite === undefined ? name : `${nameOf(suite)} > ${name}`;

const namesIn = (task: RunnerTask): string[] =>
  task.type === "suite" ? task.tasks.flatMap(namesIn) : [nameOf(task)];

beforeEach(({ task, skip }) => {
  const name = nameOf(task);
  for (const [reason, ...names] of leftOut) {
    if (names.some((each) => each.test(name))) skip(reason);
  }
});

test("each rule of what is left out applies to a test", ({ task }) => {
  const names = task.file.tasks.flatMap(namesIn);
  const rules = leftOut.flatMap(([, ...rules]) => rules);
  const unused = rules.filter((rule) => !names.some((name) => rule.test(name)));
  expect(unused).toEqual([]);
});

// They end the responses of all other tests.
describe("the published client", () => {
  test.for<LiveMode>([true, "long-poll", "sse"])(
    "reads a growing stream to its end, while actions die: live %j",
    async (live) => {
      const url = `${deployment.siteUrl}/v1/stream/client-${String(live)}`;
      const write = (method: "PUT" | "POST", body: string) =>
        fetch(url, { method, headers: { "Content-Type": "text/plain" }, body });
      await write("PUT", "");
      const reading = await stream({ url, offset: "-1", live });
      let read = "";
      reading.subscribeText(({ text }) => {
        read += text;
      });
      // Each sentence is written after the previous one has been read.
      let written = "";
      for (const [i, sentence] of story(20)
        .split(/(?<=\. )/)
        .entries()) {
        if (i % 5 === 4) {
          await expect.poll(() => deployment.open().actions).toBeGreaterThan(0);
          // The response ends as if it were complete.
          deployment.faults.killActions();
        }
        await write("POST", sentence);
        written += sentence;
        await expect.poll(() => read, { timeout: 20_000 }).toBe(written);
      }
      await fetch(url, {
        method: "POST",
        headers: { "Stream-Closed": "true" },
      });
      await reading.closed;
      expect(read).toBe(written);
      expect(reading.streamClosed).toBe(true);
    },
  );
});

runConformanceTests({ baseUrl: deployment.siteUrl });
