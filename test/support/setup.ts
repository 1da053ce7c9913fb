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
import { checked, withLimits } from "./with-limits.js";

export const components = componentsGeneric() as unknown as {
  persistentTextStreaming: ComponentApi;
};

export type ActionCtx = GenericActionCtx<GenericDataModel>;

/** What goes wrong with one mutation of an action: it fails before or after it is carried out, or its answer waits for a promise. */
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

  /** Runs an action, which may return anything, even a response. */
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

    /** An app's HTTP action that resumes the stream named in the URL. */
    get: (url: string, init?: RequestInit) =>
      act((ctx) => {
        const request = new Request(url, init);
        const streamId = new URL(url).searchParams.get("streamId");
        return streaming.resume(ctx, request, streamId as StreamId);
      }),

    /** The `ctx` of an action that adds up its calls, and notes the documents of its largest query. */
    metered: (
      ctx: ActionCtx,
      cost: { queries: number; mutations: number; documents: number },
    ): Pick<ActionCtx, "runQuery" | "runMutation"> => ({
      runQuery: async (query, ...args) => {
        cost.queries++;
        const metrics = await t.query(async (queryCtx) => {
          await queryCtx.runQuery(query, ...args);
          return queryCtx.meta.getTransactionMetrics();
        });
        const { used } = metrics.documentsRead;
        cost.documents = Math.max(cost.documents, used);
        return ctx.runQuery(query, ...args);
      },
      runMutation: (mutation, ...args) => {
        cost.mutations++;
        return ctx.runMutation(mutation, ...args);
      },
    }),

    /** All the text, and one of the six statuses. */
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

    finishScheduled: () =>
      finishDue(t, () =>
        app.inComponent((ctx) =>
          ctx.db.system.query("_scheduled_functions").collect(),
        ),
      ),
  };
  return app;
}

/** An app with one stream, which these functions work on. */
export async function setUpStream(options?: PersistentTextStreamingOptions) {
  const app = setUp(options);
  const streamId = await app.create();
  const respond = (writer: BackgroundWriter, faults?: Faults) =>
    app.respond(streamId, writer, faults);
  return {
    ...app,
    streamId,
    respond,
    /** What the reader of a response has seen so far. */
    stream: async (writer: BackgroundWriter, faults?: Faults) =>
      readBody(await respond(writer, faults)).seen,
    generate: (writer: BackgroundWriter, faults?: Faults) =>
      app.generate(streamId, writer, faults),
    /** Writes these texts and ends the stream. */
    write: (...texts: string[]) =>
      settled(app.generate(streamId, writes(...texts))),
    resume: (from?: number) => app.resume(streamId, from),
    body: () => app.body(streamId),
    page: (from: number) => app.page(streamId, from),
    abort: () => app.abort(streamId),
    remove: () => app.remove(streamId),
  };
}

/** A function may have this many operations in flight. */
const OPERATIONS = 1000;

/** The `ctx` of an action, with the limits of a deployment and the faults that a test asks for. */
function deployed(ctx: ActionCtx, faults: Faults = () => undefined): ActionCtx {
  // A fake timer calls from the test that moves the clock, not from the action
  // that set it, and convex-test goes by who calls.
  const inAction = AsyncLocalStorage.snapshot();
  let inFlight = 0;
  async function operation<T>(run: () => Promise<T>): Promise<T> {
    if (inFlight >= OPERATIONS) {
      throw new Error(
        `Too many concurrent operations in a function (limit: ${OPERATIONS}).`,
      );
    }
    inFlight++;
    try {
      return await inAction(run);
    } finally {
      inFlight--;
    }
  }
  const mutate = checked<ActionCtx["runMutation"]>((...args) =>
    ctx.runMutation(...args),
  );
  const query = checked<ActionCtx["runQuery"]>((...args) =>
    ctx.runQuery(...args),
  );
  let index = 0;
  const runMutation = async (
    mutation: FunctionReference<"mutation", "public" | "internal">,
    args: Record<string, unknown>,
  ): Promise<unknown> => {
    const fault = faults({ index: index++, args });
    if (fault === "refused") throw new Error("The commit was refused.");
    const result: unknown = await operation(() => mutate(mutation, args));
    if (fault === "lost") throw new Error("The answer was lost.");
    await fault;
    return result;
  };
  const runQuery: ActionCtx["runQuery"] = (...args) =>
    operation(() => query(...args));
  return { ...ctx, runQuery, runMutation } as ActionCtx;
}

/** Reads a body as it arrives, and keeps a U+FEFF at its beginning. */
export function readBody(response: Response) {
  const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
  const seen = {
    text: "",
    closed: false,
    /** Runs the clock until the body ends. */
    end: () => settled(whole),
  };
  const whole: Promise<string> = (async () => {
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
export function textOf(response: Response): Promise<string> {
  return readBody(response).seen.end();
}

/** Resolves when a signal fires. */
export function fired(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    signal.addEventListener("abort", () => resolve());
  });
}

/** Silences `console.error` and records its calls. */
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
