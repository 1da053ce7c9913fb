/// <reference types="vite/client" />
import component, {
  register,
} from "@convex-dev/persistent-text-streaming/test";
import manifest from "@convex-dev/persistent-text-streaming/package.json" with { type: "json" };
import { convexTest } from "convex-test";
import { api, internal } from "../convex/_generated/api.js";
import schema from "../convex/schema.js";

const modules = import.meta.glob("../convex/**/*.ts");
/** As suites had it before there was `register`. */
const built = import.meta.glob(
  "../node_modules/@convex-dev/persistent-text-streaming/dist/component/**/*.js",
);

export async function chatTest(): Promise<string> {
  // Without `transactionLimits`: this is how suites were written for 0.3.
  const t = convexTest(schema, modules);
  register(t);
  register(t, "anotherOne");
  component.register(t);
  t.registerComponent("aThird", component.schema, component.modules);
  await t.mutation(api.patterns.send, { prompt: manifest.version });

  const byHand = convexTest(schema, modules);
  byHand.registerComponent("persistentTextStreaming", component.schema, built);
  return await byHand.mutation(internal.patterns.inOneGo, {});
}

/** With the clock of the tests' library, which runs all that is scheduled to its end. */
export async function titleTest(runAllTimers: () => void): Promise<string> {
  const t = convexTest(schema, modules);
  register(t);
  const streamId = await t.mutation(api.patterns.send, { prompt: "Hi" });
  await t.finishAllScheduledFunctions(runAllTimers);
  const { status } = await t.query(api.patterns.body, { streamId });
  const response = await t.fetch("/write", {
    method: "POST",
    body: JSON.stringify({ streamId }),
  });
  return `${status}, then ${response.status}: ${await response.text()}`;
}
