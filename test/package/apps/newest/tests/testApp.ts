/** What only the newest convex-test has: it takes the component by its `register`. */
import component from "@convex-dev/persistent-text-streaming/test";
import { PersistentTextStreaming } from "@convex-dev/persistent-text-streaming";
import { defineTestApp } from "convex-test";
import schema from "../convex/schema.js";

const app = defineTestApp({ schema, components: { drafts: component } });
const streaming = new PersistentTextStreaming(app.components.drafts);

const { api, createTest } = app.defineModules({
  chat: { create: app.mutation((ctx) => streaming.createStream(ctx)) },
});

export async function testAppTest(): Promise<string> {
  const t = createTest();
  const streamId = await t.mutation(api.chat.create, {});
  const { lib } = app.components.drafts;
  const status: "pending" | "streaming" | "done" | "error" | "timeout" =
    await t.query(lib.getStreamStatus, { streamId });
  // @ts-expect-error There is no such function.
  return status + (lib.nothing as string);
}
