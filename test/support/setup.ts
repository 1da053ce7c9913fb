import { AsyncLocalStorage } from "node:async_hooks";
import { convexTest } from "convex-test";
import {
  componentsGeneric,
  defineSchema,
  type FunctionReference,
  type GenericActionCtx,
  type GenericDataModel,
  type GenericMutationCtx,
} from "convex/server";
import { expect, vi } from "vitest";
import {
  PersistentTextStreaming,
  type BackgroundWriter,
  type ChunkAppender,
  type PersistentTextStreamingOptions,
  type StreamId,
} from "../../src/client/index.js";
import type { ComponentApi } from "../../src/component/_generated/component.js";
import type { DataModel } from "../../src/component/_generated/dataModel.js";
import schema from "../../src/component/schema.js";
import { finishDue, settled } from "./clock.js";
import { modules as componentModules } from "./component.js";
import { actionWithLimits, withLimits } from "./with-limits.js";

export const components = componentsGeneric() as unknown as {
  persistentTextStreaming: ComponentApi;
};

export type ActionCtx = GenericActionCtx<GenericDataModel>;

/** What happens to one mutation of an action: an error before it is carried out, after it, or no answer until the promise resolves. */
export type Fault = "refused" | "lost" | Promise<void>;

/** Says which of an action's mutations goes wrong, and how. `index` counts them from 0. */
export type Faults = (mutation: {
  index: number;
  args: Record<string, unknown>;
}) => Fault | undefined;

/** An app that uses the component, with the limits of a deployment. */
export function setUp(
  options?: PersistentTextStreamingOptions,
  modules: Record<string, () => Promise<unknown>> = {},
) {
  const t = withLimits(
    convexTest({
      schema: defineSchema({}),
      modules: { "./_generated/api.ts": () => Promise.resolve({}), ...modules },
      transactionLimits: true,
    }),
  );
  // Not `register`, which leaves out the planned checks.
  t.registerComponent("persistentTextStreaming", schema, componentModules);
  const streaming = new PersistentTextStreaming(
    components.persistentTextStreaming,
    options,
  );
  const { lib } = components.persistentTextStreaming;

  /** Runs an action. What it returns may be anything, a response too. */
  async function act<T>(
    action: (ctx: ActionCtx) => Promise<T>,
    faults?: Faults,
  ): Promise<T> {
    let result!: T;
    await t.action(async (ctx) => {
      result = await action(deployed(ctx, faults));
    });
    return result;
  }

  const app = {
    t,
    streaming,
    lib,
    act,

    create: (): Promise<StreamId> =>
      t.mutation((ctx) => streaming.createStream(ctx)),
    abort: (streamId: StreamId) =>
      t.mutation((ctx) => streaming.abortStream(ctx, streamId)),
    remove: (streamId: StreamId) =>
      t.mutation((ctx) => streaming.deleteStream(ctx, streamId)),

    /** The response of an HTTP action that streams what the writer writes. */
    respond: (streamId: StreamId, writer: BackgroundWriter, faults?: Faults) =>
      act(
        (ctx) =>
          streaming.stream(
            ctx,
            new Request("https://app.test/stream", { method: "POST" }),
            streamId,
            (_ctx, _request, _streamId, append, signal) =>
              writer(append, signal),
          ),
        faults,
      ),

    generate: (streamId: StreamId, writer: BackgroundWriter, faults?: Faults) =>
      act((ctx) => streaming.generate(ctx, streamId, writer), faults),

    resume: (streamId: StreamId, from?: number, signal?: AbortSignal) =>
      act((ctx) =>
        streaming.resume(
          ctx,
          new Request("https://app.test/resume", { signal: signal ?? null }),
          streamId,
          { from },
        ),
      ),

    /** As an app's HTTP action answers: the URL says which stream, and from where on. */
    get: (url: string, init?: RequestInit) =>
      act((ctx) => {
        const request = new Request(url, init);
        const streamId = new URL(url).searchParams.get("streamId");
        return streaming.resume(ctx, request, streamId as StreamId);
      }),

    /** All the text, and which of the six statuses the stream has. */
    body: (streamId: StreamId) =>
      t.query(async (ctx) => ({
        text: (await streaming.getStreamBody(ctx, streamId)).text,
        status: await streaming.getStreamStatus(ctx, streamId),
      })),
    page: (streamId: StreamId, from: number) =>
      t.query((ctx) => streaming.getStreamBody(ctx, streamId, from)),

    /** Works on the component's own tables. */
    inComponent: <T>(
      run: (ctx: GenericMutationCtx<DataModel>) => Promise<T>,
    ): Promise<T> =>
      (
        t as unknown as {
          runInComponent: (
            path: string,
            run: (ctx: GenericMutationCtx<DataModel>) => Promise<T>,
          ) => Promise<T>;
        }
      ).runInComponent("persistentTextStreaming", run),

    chunks: (streamId: StreamId) =>
      app.inComponent(async (ctx) => {
        const all = await ctx.db.query("chunks").collect();
        return all.filter((chunk) => String(chunk.streamId) === streamId);
      }),

    finishScheduled: () =>
      finishDue(t, () =>
        app.inComponent((ctx) =>
          ctx.db.system.query("_scheduled_functions").collect(),
        ),
      ),
  };
  return app;
}

/** The `ctx` of an action, with the limits of a deployment and the faults that a test asks for. */
function deployed(
  action: ActionCtx,
  faults: Faults = () => undefined,
): ActionCtx {
  const ctx = actionWithLimits(action);
  // A fake timer calls from the test that moves the clock, not from the action
  // that set it, and convex-test goes by who calls.
  const inAction = AsyncLocalStorage.snapshot();
  let index = 0;
  const runMutation = async (
    mutation: FunctionReference<"mutation", "public" | "internal">,
    args: Record<string, unknown>,
  ): Promise<unknown> => {
    const fault = faults({ index: index++, args });
    if (fault === "refused") throw new Error("The commit was refused.");
    const result: unknown = await inAction(() =>
      ctx.runMutation(mutation, args),
    );
    if (fault === "lost") throw new Error("The answer was lost.");
    await fault;
    return result;
  };
  const runQuery: ActionCtx["runQuery"] = (query, ...args) =>
    inAction(() => ctx.runQuery(query, ...args));
  return { ...ctx, runQuery, runMutation } as ActionCtx;
}

/** Reads a body as it comes. The text decoder does not take U+FEFF away. */
export function readBody(response: Response) {
  const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
  const seen = { text: "", closed: false };
  const whole = (async () => {
    const reader = response.body?.getReader();
    for (;;) {
      const read = await reader?.read();
      if (read === undefined || read.done) break;
      seen.text += decoder.decode(read.value, { stream: true });
    }
    seen.text += decoder.decode();
    seen.closed = true;
    return seen.text;
  })();
  return { seen, whole };
}

/** The whole text of a response, while the clock runs. */
export async function textOf(response: Response): Promise<string> {
  return settled(readBody(response).whole);
}

/** Silences and hands on what is logged as an error. */
export function errorsLogged() {
  return vi.spyOn(console, "error").mockImplementation(() => {});
}

/** A writer that appends these texts. */
export function writes(...texts: string[]): BackgroundWriter {
  return async (append: ChunkAppender) => {
    for (const text of texts) await append(text);
  };
}

/** A writer that must not run. */
export const neverRuns: BackgroundWriter = () => {
  expect.unreachable("This writer must not run.");
};
