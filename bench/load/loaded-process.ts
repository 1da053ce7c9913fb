/** What `deployment.ts` starts. */
import { fileURLToPath } from "node:url";
import { startDeployment } from "../../test/local-deployment/deployment.js";
import type { Answer, Question } from "./loaded-deployment.js";
import { memory } from "../../test/local-deployment/memory.js";

const path = (relative: string) =>
  fileURLToPath(new URL(relative, import.meta.url));

const { url, siteUrl } = await startDeployment({
  functionsDir: path("../apps/load"),
  components: { persistentTextStreaming: path("../../src/component") },
  log: (line) => {
    if (/failed|error/i.test(line)) console.error(line);
  },
});
const send = (answer: Answer) => process.send?.(answer);
process.on("message", ({ id }: Question) => {
  void memory().then((memory) => send({ id, memory }));
});
process.on("disconnect", () => process.exit());
send({ url, siteUrl });
