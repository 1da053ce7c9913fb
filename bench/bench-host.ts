/**
 * A target in a process of its own: the local deployment with the target's app.
 * What is measured at a client is measured from outside of it.
 */
import { fork } from "node:child_process";
import { fileURLToPath } from "node:url";
import type { Counters } from "../test/local-deployment/deployment.js";
import type { Memory } from "../test/local-deployment/memory.js";
import type { WriterRecord } from "./apps/writer.js";
import type { FollowingCase, FollowingResult } from "./following.js";
import type { TargetName } from "./targets.js";

/** What a host can be asked to do. */
export interface Tasks {
  start(): Promise<{ url: string; siteUrl: string }>;
  call(path: string, args?: Record<string, unknown>): Promise<unknown>;
  counters(): Promise<Counters>;
  reset(): Promise<void>;
  /** Resolves when the deployment does nothing any more. */
  atRest(): Promise<void>;
  /** How long commits take from now on (ms). */
  commitDelay(ms: number): Promise<void>;
  /** Sets the deployment's clock so far ahead (ms). */
  setClock(aheadMs: number): Promise<void>;
  /** What the writer of a stream has noted. */
  record(streamId: string): Promise<WriterRecord>;
  /** The most memory that the process had so far (bytes). */
  peakMemory(): Promise<number>;
  /** What it has now, once its garbage has been collected. */
  memory(): Promise<Memory>;
  /** How long the process has been computing so far (ms). */
  computed(): Promise<number>;
  following(what: FollowingCase): Promise<FollowingResult>;
}

export interface Question {
  id: number;
  task: keyof Tasks;
  args: unknown[];
}

export type Answer = { id: number } & ({ value: unknown } | { error: string });

export type Host = Tasks & { url: string; siteUrl: string };

/** Starts a host, and ends it when `use` is done. */
export async function withHost<Result>(
  name: TargetName,
  use: (host: Host) => Promise<Result>,
): Promise<Result> {
  const child = fork(
    fileURLToPath(new URL("./host-process.ts", import.meta.url)),
    [name],
    { execArgv: ["--import", "tsx"], serialization: "advanced" },
  );
  const waiting = new Map<number, (answer: Answer) => void>();
  child.on("message", (answer: Answer) => {
    waiting.get(answer.id)?.(answer);
    waiting.delete(answer.id);
  });
  const died = new Promise<never>((_, reject) => {
    child.once("exit", (code) =>
      reject(new Error(`The process of "${name}" ended with code ${code}.`)),
    );
  });
  let questions = 0;
  const ask = (task: keyof Tasks) =>
    async function (...args: unknown[]): Promise<unknown> {
      const id = questions++;
      const answered = new Promise<Answer>((resolve) =>
        waiting.set(id, resolve),
      );
      child.send({ id, task, args } satisfies Question);
      const answer = await answered;
      if ("error" in answer)
        throw new Error(`${name}, ${task}: ${answer.error}`);
      return answer.value;
    };
  const tasks = new Proxy({} as Tasks, {
    get: (_, task) => ask(task as keyof Tasks),
  });
  const used = tasks
    .start()
    .then(({ url, siteUrl }) =>
      use(Object.assign(Object.create(tasks) as Tasks, { url, siteUrl })),
    );
  try {
    return await Promise.race([used, died]);
  } finally {
    died.catch(() => {});
    if (child.connected) child.disconnect();
  }
}
