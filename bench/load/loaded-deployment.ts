/** The deployment under load, in a process of its own. */
import { fork } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import type { Memory } from "../../test/local-deployment/memory.js";

export type Question = { id: number };
export type Answer =
  { url: string; siteUrl: string } | { id: number; memory: Memory };

export async function startLoadedDeployment() {
  const child = fork(
    fileURLToPath(new URL("./loaded-process.ts", import.meta.url)),
    [],
    { execArgv: ["--import", "tsx"] },
  );
  const [place] = (await Promise.race([
    once(child, "message"),
    once(child, "exit").then(() => {
      throw new Error("The deployment's process ended before it had begun.");
    }),
  ])) as [{ url: string; siteUrl: string }];
  let questions = 0;
  return {
    ...place,
    memory(): Promise<Memory> {
      const id = questions++;
      return new Promise((resolve) => {
        const listen = (answer: Answer) => {
          if (!("id" in answer) || answer.id !== id) return;
          child.off("message", listen);
          resolve(answer.memory);
        };
        child.on("message", listen);
        child.send({ id } satisfies Question);
      });
    },
    async stop() {
      child.kill();
      if (child.exitCode === null && child.signalCode === null) {
        await once(child, "exit");
      }
    },
  };
}

export type LoadedDeployment = Awaited<
  ReturnType<typeof startLoadedDeployment>
>;
