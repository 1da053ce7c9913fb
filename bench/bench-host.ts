/**
 * A target in its own process: the local deployment with the target's app. What is
 * measured at a client is measured from outside of it.
 */
import { fork } from "node:child_process";
import { fileURLToPath } from "node:url";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { createBirpc, type BirpcReturn } from "birpc";
import {
  startDeployment,
  type LocalDeployment,
} from "../test/local-deployment/deployment.js";
import { meeting } from "./apps/writer.js";
import { atRest, following, type FollowingCase } from "./replies.js";
import { targets, type Target, type TargetName } from "./targets.js";

const program = fileURLToPath(import.meta.url);

export type Tasks = ReturnType<typeof tasksOf>;
export type Host = BirpcReturn<Tasks> & { url: string; siteUrl: string };

export async function startTarget({ app, component, minDelayMs }: Target) {
  if (minDelayMs !== undefined) process.env.MIN_DELAY_MS = `${minDelayMs}`;
  return await startDeployment({
    functionsDir: app,
    components: { [component.name]: component.folder },
    log: (line) => {
      // Only what went wrong, so that the tables can be read.
      if (/failed|error/i.test(line)) console.error(line);
    },
  });
}

/** What a host can be asked to do. Times are in ms, memory is in bytes. */
export function tasksOf(deployment: LocalDeployment, target: Target) {
  const { url, siteUrl, counters } = deployment;
  return {
    start: () => ({ url, siteUrl }),
    call: (path: string, args?: Record<string, string>) =>
      deployment.call(path, args),
    counters: () => counters.read(),
    reset: () => void counters.reset(),
    atRest: () => atRest(counters),
    commitDelay: (commitDelayMs: number) =>
      void deployment.faults.set({ commitDelayMs }),
    setClock: (aheadMs: number) => deployment.setClock(aheadMs),
    /** What the writer of a stream has noted. */
    record: (streamId: string) => meeting.records.get(streamId)!,
    memory,
    peakMemory: () => process.resourceUsage().maxRSS * 1024,
    /** How long the process has been computing so far. */
    computed: () => {
      const { user, system } = process.cpuUsage();
      return (user + system) / 1000;
    },
    following: (what: FollowingCase) => following(deployment, target, what),
  };
}

export type Memory = Awaited<ReturnType<typeof memory>>;

/** The memory of this process, once its garbage has been collected. */
export async function memory() {
  setFlagsFromString("--expose-gc");
  const gc = runInNewContext("gc") as () => void;
  // What is finalized in one round releases more in the next.
  for (let round = 0; round < 3; round++) {
    gc();
    await new Promise((goOn) => setTimeout(goOn, 20));
  }
  const { rss, heapUsed } = process.memoryUsage();
  return { rss, heap: heapUsed };
}

/** Starts a host, and ends it when `use` is done. */
export async function withHost<Result>(
  name: TargetName,
  use: (host: Host) => Promise<Result>,
): Promise<Result> {
  const child = fork(program, [name], {
    execArgv: ["--import", "tsx"],
    serialization: "advanced",
  });
  const died = new Promise<never>((_, reject) => {
    child.once("exit", (code) =>
      reject(new Error(`The process of "${name}" ended with code ${code}.`)),
    );
  });
  const tasks = createBirpc<Tasks>(
    {},
    {
      post: (message) => child.send(message as object),
      on: (listener) => child.on("message", listener),
      timeout: -1,
    },
  );
  try {
    const used = tasks
      .start()
      .then((urls) => use(Object.assign(Object.create(tasks) as Host, urls)));
    return await Promise.race([used, died]);
  } finally {
    died.catch(() => {});
    if (child.connected) child.disconnect();
  }
}

/** What the forked process does. */
if (process.argv[1] === program) {
  const target: Target = targets[process.argv[2] as TargetName];
  const deployment = await startTarget(target);
  createBirpc<object, Tasks>(tasksOf(deployment, target), {
    post: (message) => process.send?.(message),
    on: (listener) => process.on("message", listener),
  });
  process.on("disconnect", () => process.exit());
}
