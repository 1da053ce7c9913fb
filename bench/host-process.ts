/** The process that `host.ts` starts: argument 1 is the target's name. */
import "./virtual-clock.js";
import { startDeployment } from "../test/local-deployment/deployment.js";
import { memory } from "../test/local-deployment/memory.js";
import { meeting } from "./apps/writer.js";
import { atRest, following } from "./following.js";
import type { Answer, Question, Tasks } from "./bench-host.js";
import { targets, type TargetName } from "./targets.js";

const target = targets[process.argv[2] as TargetName];
const { name, folder } = target.component;

const deployment = await startDeployment({
  functionsDir: target.app,
  components: { [name]: folder },
  log: (line) => {
    // Only what went wrong: the tables are what is to be seen.
    if (/failed|error/i.test(line)) console.error(line);
  },
});

const tasks: Tasks = {
  start: () =>
    Promise.resolve({ url: deployment.url, siteUrl: deployment.siteUrl }),
  call: (path, args) => deployment.call(path, args as never),
  counters: () => Promise.resolve(deployment.counters.read()),
  reset: () => Promise.resolve(void deployment.counters.reset()),
  atRest: () => atRest(deployment.counters),
  commitDelay: (ms) =>
    Promise.resolve(void deployment.faults.set({ commitDelayMs: ms })),
  setClock: (aheadMs) => Promise.resolve(deployment.setClock(aheadMs)),
  record: (streamId) => {
    const record = meeting.records.get(streamId);
    if (record === undefined) throw new Error(`${streamId} was not written.`);
    return Promise.resolve(record);
  },
  memory,
  peakMemory: () => Promise.resolve(process.resourceUsage().maxRSS * 1024),
  computed: () => {
    const { user, system } = process.cpuUsage();
    return Promise.resolve((user + system) / 1000);
  },
  following: (what) => following(deployment, target, what),
};

async function answer({ id, task, args }: Question): Promise<Answer> {
  try {
    const run = tasks as unknown as Record<
      keyof Tasks,
      (...args: unknown[]) => Promise<unknown>
    >;
    return { id, value: await run[task](...args) };
  } catch (error) {
    return { id, error: (error as Error).stack ?? String(error) };
  }
}

process.on("message", (question: Question) => {
  void answer(question).then((message) => process.send?.(message));
});
process.on("disconnect", () => process.exit());
