/** The document that a run leaves behind: `docs/benchmarks.md`. */
import type { Row } from "./rows.js";
import { markdown } from "./table.js";

export interface Circumstances {
  date: string;
  machine: string;
  versions: Record<string, string>;
}

export function summary(
  { date, machine, versions }: Circumstances,
  rows: readonly Row[],
): string {
  const listed = Object.entries(versions).map((version) => version.join(" "));
  return `# Benchmarks

\`npm run bench\` compares this package with the published 0.3.3 on the same texts, against the
local deployment (\`test/local-deployment\`) over real sockets. Measured on ${date} on
${machine}, with ${listed.join(", ")}.

The ratio says how many times better this package is than the published one in the same run,
with \`incremental: true\` where that matters. Where it is worse, a note says why. Times depend
on the machine, ratios much less, counts not at all.

${markdown(rows)}

${METHOD}`;
}

/** A document as it was, with the sections of these rows new, and all others as they are. */
export function withSections(document: string, rows: readonly Row[]): string {
  const [head = "", ...parts] = document.split(/^(?=## )/m);
  const titleOf = (part: string) => part.slice(0, part.indexOf("\n"));
  const fresh = markdown(rows).split(/^(?=## )/m);
  const kept = parts.filter((part) => !METHOD.startsWith(titleOf(part)));
  for (const part of fresh) {
    const place = kept.findIndex((old) => titleOf(old) === titleOf(part));
    if (place < 0) kept.push(part);
    else kept[place] = part;
  }
  return [head, ...kept, METHOD].map((part) => part.trimEnd()).join("\n\n");
}

const METHOD = `## How it is measured

- **The text** repeats two Markdown replies of a chat model. \`gpt-tokenizer\` (o200k) cuts it
  into tokens of about four characters, with the end of a sentence every 16 tokens.
- **The model does not wait.** Token \`i\` is ready \`i\` times the pace after the first. A
  writer that was held up gets everything it missed at once.
- **\`@convex-dev/agent\`** 0.7 needs Node 22 and \`ai\` 7, and this repository runs on Node
  20. For its newest version, run the benchmark on Node 24 after
  \`npm install --no-save @convex-dev/agent@latest ai@7 @ai-sdk/provider@4 @ai-sdk/provider-utils@5\`.
- **Followers** are \`ConvexReactClient\`s with one connection each. For this package they run
  the hook's reader, for the published one what \`useQuery\` does. For \`@convex-dev/agent\`
  they subscribe to the list of streams and to the deltas after a cursor, as its
  documentation says.
- **Following** runs on a clock that stands still while the database works and until each
  follower has what was saved. So 50,000 tokens at 200 per second do not take four minutes,
  and counts do not depend on the machine. On the real clock, 2,000 tokens give the same counts.
  Everything that a reply causes is counted: its creation, the subscriptions, the request,
  and the work after it is complete.
- **Function calls** are counted as Convex bills them, including updates of subscriptions.
  **Documents and bytes** leave out index entries.
- **Prices** are those of the Professional plan in the US beyond what it includes (November
  2026): $2 per million function calls, $0.20 per GB of database I/O
  (<https://docs.convex.dev/production/state/limits>). Action compute and egress are left
  out.
- **Driving** runs on the real clock, with commits slowed down as stated. A real model takes
  some hundred milliseconds to its first token. Here it takes none, so only the package
  shows.
- **The hook** drives a reply in a new Chromium. The published one gets a URL object that
  stays the same and no StrictMode, because it stops otherwise.
- **Many at once** measures each token from its append to its arrival at the follower. The
  requests arrive within four seconds.
- **Reading for a minute** is what readers add to the counts of a stream that only its driver
  reads, on the real clock. \`readStream\` keeps an HTTP action running, which looks at the
  database every 250 ms while text arrives, and down to every 2 s while none does. The
  response body is not counted.
- **Times** of driving, the hook and many at once are medians of three runs. The packages
  take turns, so other work on the machine affects both.
- **Size** is what esbuild makes of an entry with its dependencies, without convex and react.
`;
