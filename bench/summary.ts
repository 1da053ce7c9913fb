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

\`npm run bench\` measures this package and the published 0.3.3 in turn, on the
same texts, against the local deployment (\`test/local-deployment\`) over real sockets.
This is what it gave on ${date}, on ${machine}, with ${listed.join(", ")}.

The ratio says how many times better this package is than the published one in
the same run, with \`incremental: true\` where that makes a difference. Where it
is worse, a note says why. Times depend on the machine, ratios much less, counts
not at all.

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

- **The text** is two replies of a chat model in Markdown, over and over, cut by
  \`gpt-tokenizer\` (o200k) into tokens of some four characters, with a sentence's
  end every 16 tokens.
- **The model does not wait**: token \`i\` is there \`i\` times the pace after the
  first. A writer that was held up gets at once what has come meanwhile.
- **\`@convex-dev/agent\`** 0.7 needs Node 22 and \`ai\` 7, and this repository runs on Node
  20. For its newest version, run the benchmark on Node 24 after
  \`npm install --no-save @convex-dev/agent@latest ai@7 @ai-sdk/provider@4 @ai-sdk/provider-utils@5\`.
- **Followers** are \`ConvexReactClient\`s, each with a connection of its own. Those
  of this package run the hook's reader, those of the published one what
  \`useQuery\` does, those of \`@convex-dev/agent\` a subscription to the list of
  streams and one to the deltas behind a cursor, as its documentation has it.
- **Following** is counted on a clock that stands still while the database works
  and until each follower has what was saved. So 50,000 tokens at 200 a second do
  not take four minutes, and the counts do not depend on the machine. By the real
  clock, 2,000 tokens give the same counts. What is counted is all that the reply
  causes: its creation, the followers' subscriptions, the request, and what is
  done when it is complete.
- **Function calls** are counted as Convex bills them, updates of subscriptions
  included. **Documents and bytes** are those of documents; entries of indexes are
  not among them.
- **Prices** are those of the Professional plan in the US beyond what it includes,
  as of November 2026: $2 for a million function calls, $0.20 for a GB of database
  I/O (<https://docs.convex.dev/production/state/limits>). Action compute and
  egress are not among them.
- **Driving** runs by the real clock, with commits slowed down to what is said.
  A model takes some hundred milliseconds to its first token; here it takes none,
  so that only the package is seen.
- **The hook** drives a reply in a new Chromium; the published one with a URL
  object that stays the same and without StrictMode, since it stops otherwise.
- **Many at once** measures each token: from when it was appended to when the
  follower of its stream had it. The requests come within four seconds.
- **Reading for a minute** is what the readers add to the counts of the same
  stream with nobody but its driver, by the real clock. \`readStream\` has an HTTP
  action run for as long as it reads, which looks at the database every 250 ms
  while text comes, and down to every 2 s while none does; the body of its response
  is not counted.
- **Times** of driving, of the hook and of many at once are medians of three runs,
  with the packages in turn, so that what else the machine does falls on both.
- **Size** is what esbuild makes of an entry with its dependencies; convex and
  react are not among them.
`;
