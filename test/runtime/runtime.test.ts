import { afterAll, beforeAll, describe, expect, test } from "vitest";
import {
  startModel,
  type Model,
} from "../local-deployment/model/model-server.js";
import {
  unwatchStrayErrors,
  watchStrayErrors,
} from "../local-deployment/stray-errors.js";
import { setUp } from "../support/setup.js";
import { Runtime, SPEED, type Action } from "./host.js";

let runtime: Runtime;
let model: Model;

beforeAll(async () => {
  watchStrayErrors();
  runtime = await Runtime.load();

  model = await startModel({ firstTokenMs: 0, tokensPerSecond: 20 * SPEED });
});
afterAll(async () => {
  await model.close();
  unwatchStrayErrors();
  if (process.env.RUNTIME_TABLE) console.table(table);
});

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));
const until = async (condition: () => boolean) => {
  while (!condition()) await pause(5);
};

describe("an action of this host", () => {
  test.each([
    ["aborting a signal that fetch has", true],
    ["aborting it twice", false],
    ["an exception in a listener", false],
    ["a rejection that is handled", true],
    ["an unhandled rejection", false],
    ["an exception in a timer", false],
  ])("%s: survives %s", async (what, survives) => {
    const action = runtime.start(setUp(), async (app) => {
      await app.survives[what]?.(model.baseURL);
      await pause(50);
    });
    const ended = await action.ended;
    if (survives) expect(ended).toBeNull();
    else expect(ended).toMatch(/Thrown|Not handled|clos/);
  });
});

const writers = [
  "openai 7",
  "openai 6",
  "openai 6, append",
  "openai 6, stream()",
  "anthropic 1",
  "anthropic 1, stream()",
  "ai 6, textStream",
  "ai 6, fullStream",
  "a listener that throws",
  "onabort that throws",
  "a listener that aborts again",
  "a listener that never returns",
  "a writer that never returns",
];

type App = ReturnType<typeof setUp>;
const endings: Record<
  string,
  {
    end: (app: App, streamId: string, action: Action) => Promise<unknown>;
    status: string;
  }
> = {
  stop: {
    end: (app, streamId) => app.abort(streamId as never),
    status: "aborted",
  },
  deletion: {
    end: (app, streamId) => app.remove(streamId as never),
    status: "error",
  },
  "time-out": {
    end: (app, streamId) =>
      app.t.mutation(app.lib.setStreamStatus, { streamId, status: "timeout" }),
    status: "timeout",
  },
  "cannot be saved": {
    end: async (_app, _streamId, action) => {
      action.refuseMutations = true;
      // After seven, no more text is accepted; the last save goes on.
      await until(() => action.refused >= 7);
      action.refuseMutations = false;
    },
    status: "error",
  },
};

/** For the documentation: what was shown and lost, by writer and ending. */
const table: Record<string, Record<string, string>> = {};

describe.concurrent.each(Object.entries(endings))(
  "%s, while a writer streams:",
  (ending, { end, status }) => {
    test.each(writers)("%s", async (writer) => {
      let shown = 0;
      let lost = 0;
      let died = 0;
      const runs = Number(process.env.RUNTIME_TABLE ?? 1);
      for (let run = 0; run < runs; run++) {
        const app = setUp();
        const streamId = await app.create();
        const action = runtime.start(app, ({ respond }) =>
          respond(writer, model.baseURL, streamId),
        );
        // Some of it is saved, and some is not, as a rule.
        await until(() => action.client.text.length > 60);
        await pause(run);
        await end(app, streamId, action);
        if ((await action.ended) !== null) died++;

        const { text } = action.client;
        const page = await app.t.query(app.lib.read, { streamId });
        const saved = page?.text ?? "";
        shown += text.length;
        if (ending !== "deletion") lost += text.length - saved.length;
        if (process.env.RUNTIME_TABLE) continue;
        expect(page?.status ?? "error").toBe(status);
        if (ending === "deletion") expect(page).toBeNull();
        else {
          expect(saved).toBe(text);
          expect(page?.draining).toBe(false);
        }
      }
      (table[writer] ??= {})[ending] =
        `${shown / runs} shown, ${lost / runs} lost, ${died} of ${runs} died`;
    });
  },
);

test("no model keeps writing for an action that has ended", async () => {
  await until(() => model.writing() === 0);
});

test.each(["before the claim", "during the claim", "after the head", "never"])(
  "a client that leaves %s: writing continues to the end",
  async (when) => {
    const app = setUp();
    const streamId = await app.create();
    const action = runtime.start(app, ({ respond }) =>
      respond("short", model.baseURL, streamId),
    );
    const { client } = action;
    if (when === "before the claim") client.leave();
    if (when === "during the claim") action.onMutation = () => client.leave();
    if (when === "after the head") {
      await until(() => client.status !== null);
      client.leave();
    }
    // Where the client is not there for the head, it is tried in the end.
    const failed = /the claim/.test(when);
    const ended = await action.ended;
    if (failed) expect(ended).toMatch("head could not be sent");
    else expect(ended).toBeNull();
    const page = await app.t.query(app.lib.read, { streamId });
    expect(page).toMatchObject({
      text: "Short to the end.",
      status: "done",
      draining: false,
    });
  },
);

test("a background writer is also told after everything is saved", async () => {
  for (const writer of ["openai 6, append", "a listener that throws"]) {
    const app = setUp();
    const streamId = await app.create();
    const action = runtime.start(app, ({ generate }) =>
      generate(writer, model.baseURL, streamId),
    );
    await until(() => action.appended > 100);
    await app.abort(streamId);
    await action.ended;
    const page = await app.t.query(app.lib.read, { streamId });
    expect(page).toMatchObject({ status: "aborted", draining: false });
    expect(page?.text.length).toBeGreaterThanOrEqual(action.appended);
  }
});
