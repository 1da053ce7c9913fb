// @vitest-environment node
/** `generate` with `takeOver` under Convex's action-retrier, which runs a failed job again. */
import { fileURLToPath } from "node:url";
import { expect, onTestFinished, test, vi } from "vitest";
import { startDeployment } from "./deployment.js";
import { attempts } from "./retrier/jobs.js";

const retrier = import.meta.resolve("@convex-dev/action-retrier/convex.config");

test("an attempt that is killed or throws in mid-stream is continued by the next", async () => {
  const deployment = await startDeployment({
    functionsDir: "test/local-deployment/retrier",
    components: {
      persistentTextStreaming: "src/component",
      actionRetrier: fileURLToPath(new URL(".", retrier)),
    },
    log: () => {},
  });
  onTestFinished(() => deployment.stop());
  attempts.push(
    async (append) => {
      await append("Killed. ");
      await new Promise(() => {});
    },
    async (append, saved) => {
      await append(`After ${saved.length}: thrown. `);
      throw new Error("The model is busy.");
    },
    (append, saved) => append(`After ${saved.length}: done.`),
  );
  const streamId = (await deployment.call("jobs:start")) as string;
  const becomes = (page: object, ...told: object[]) =>
    vi.waitFor(
      async () => {
        const seen = await deployment.call("jobs:look", { streamId });
        expect(seen).toMatchObject({ page, told });
      },
      { timeout: 10_000, interval: 5 },
    );
  await becomes({ text: "Killed. ", status: "streaming" });
  const { faults } = deployment;
  faults.killActions();
  // A scheduled mutation whose commit is refused runs again.
  faults.set({ refuseCommits: 2, only: "run:heartbeat" });
  // The retrier looks after a dead job every ten seconds or so.
  deployment.setClock(20_000);
  const text = "Killed. After 8: thrown. After 25: done.";
  const status = "done";
  await becomes({ text, status }, { status, length: text.length });
  expect(faults.set({}).refuseCommits).toBe(0);
});
