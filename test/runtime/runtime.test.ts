// @vitest-environment node
/** Endings with real SDKs, on the `AbortController` and `fetch` of Convex's runtime. */
import {
  afterAll,
  beforeAll,
  describe,
  expect,
  test,
  type TestContext,
} from "vitest";
import {
  startDeployment,
  type LocalDeployment,
} from "../local-deployment/deployment.js";
import {
  startModel,
  type Model,
} from "../local-deployment/model/model-server.js";
import { appended } from "./app/chat.js";
import { events } from "./app/http.js";
import { writers } from "./app/writers.js";

let model: Model;
beforeAll(async () => {
  model = await startModel({ firstTokenMs: 0 });
  process.env.OPENAI_BASE_URL = model.baseURL;
});
afterAll(() => model.close());

const until = async (condition: () => boolean) => {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 5));
};

/** A deployment of the app, and a stream. */
async function setUp({ onTestFinished }: TestContext) {
  const log: string[] = [];
  const deployment = await startDeployment({
    functionsDir: "test/runtime/app",
    log: (line) => log.push(line),
  });
  onTestFinished(() => deployment.stop());
  const post = (path: string, body: string, signal?: AbortSignal) =>
    fetch(deployment.siteUrl + path, { method: "POST", body, signal });
  const streamId = (await deployment.call("chat:create")) as string;
  // Each deployment gives its first stream the same id.
  delete appended[streamId];
  return {
    deployment,
    log,
    post,
    streamId,
    write: (writer: string, signal?: AbortSignal) =>
      post("/write", JSON.stringify({ streamId, writer }), signal),
    over: () => until(() => deployment.open().actions === 0),
    saved: () =>
      deployment.call(
        "lib:read",
        { streamId },
        { component: "persistentTextStreaming" },
      ) as Promise<{ text: string; status: string; draining: boolean } | null>,
  };
}

describe("an HTTP action", () => {
  const runsOn = ["its fetch is aborted", "its client reads nothing"];
  const over = Object.keys(events).filter((event) => !runsOn.includes(event));

  test.for(runsOn)("runs on when %s", async (event, context) => {
    const { deployment, post, over } = await setUp(context);
    const response = await post("/act", event);
    await deployment.call("chat:goOn", { streamId: event });
    await over();
    expect(await deployment.call("chat:runs", { streamId: event })).toBe(1);
    await response.body?.cancel();
  });

  test.for(over)(
    "is over when %s: its body ends cleanly, the rest never happens",
    async (event, context) => {
      const { deployment, post } = await setUp(context);
      const reader = (await post("/act", event)).body!.getReader();
      expect((await reader.read()).value?.length).toBe("text".length);
      if (event === "it is killed") deployment.faults.killActions();
      expect((await reader.read()).done).toBe(true);
      // Another from start to end: time enough for anything late.
      for (const streamId of [event, runsOn[0]!]) {
        await deployment.call("chat:goOn", { streamId });
      }
      await (await post("/act", runsOn[0]!)).text();
      expect(await deployment.call("chat:runs", { streamId: event })).toBe(0);
    },
  );
});

type End = (deployment: LocalDeployment, streamId: string) => Promise<unknown>;
const endings: Record<string, { end: End; status: string }> = {
  stop: {
    end: (deployment, streamId) => deployment.call("chat:stop", { streamId }),
    status: "aborted",
  },
  deletion: {
    end: (deployment, streamId) => deployment.call("chat:remove", { streamId }),
    status: "error",
  },
  "time-out": {
    end: (deployment, streamId) =>
      deployment.call("chat:timeOut", { streamId }),
    status: "timeout",
  },
  "cannot be saved": {
    end: async ({ faults }) => {
      const many = 1000;
      faults.set({ refuseCommits: many, only: "lib:append" });
      // After seven, no more text is accepted; the last save goes on.
      await until(() => faults.set({}).refuseCommits <= many - 7);
      faults.set({ refuseCommits: 0 });
    },
    status: "error",
  },
};

describe.concurrent.each(Object.entries(endings))(
  "%s, while a writer streams:",
  (ending, { end, status }) => {
    test.for(Object.keys(writers).filter((name) => name !== "short"))(
      "%s",
      async (writer, context) => {
        const { deployment, streamId, write, saved, over } =
          await setUp(context);
        const response = await write(writer);
        let text = "";
        const reading = (async () => {
          const decoder = new TextDecoder();
          for await (const bytes of response.body ?? []) {
            text += decoder.decode(bytes, { stream: true });
          }
        })();
        // Usually, some of it is saved, and some is not.
        await until(() => text.length > 60);
        await end(deployment, streamId);
        await reading;
        await over();
        const page = await saved();
        if (ending === "deletion") expect(page).toBeNull();
        else expect(page).toMatchObject({ text, status, draining: false });
      },
    );
  },
);

test("no model keeps writing for an action that has ended", async () => {
  await until(() => model.writing() === 0);
});

test.for(["during the claim", "after the head", "never"])(
  "a client that leaves %s: writing continues to the end",
  async (when, context) => {
    const { deployment, log, write, over, saved } = await setUp(context);
    const leaving = new AbortController();
    if (when === "during the claim") {
      deployment.faults.set({ commitDelayMs: 200 });
      const answer = write("short", leaving.signal);
      await until(() => deployment.open().actions === 1);
      leaving.abort();
      await expect(answer).rejects.toThrow();
    } else {
      const response = await write("short", leaving.signal);
      if (when === "after the head") leaving.abort();
      await response.text().catch(() => {});
    }
    await over();
    // Without a client, sending the head is tried at the end, and fails.
    expect(log.join().includes("before the response's head")).toBe(
      when === "during the claim",
    );
    expect(await saved()).toMatchObject({
      text: "Short to the end.",
      status: "done",
      draining: false,
    });
  },
);

test("a background writer is also told after everything is saved", async (context) => {
  for (const writer of ["openai 6, append", "a listener that throws"]) {
    const { deployment, streamId, saved } = await setUp(context);
    const args = { streamId, writer };
    const ended = deployment.call("chat:generate", args).catch(() => {});
    await until(() => (appended[streamId] ?? 0) > 100);
    await deployment.call("chat:stop", { streamId });
    await ended;
    const page = await saved();
    expect(page).toMatchObject({ status: "aborted", draining: false });
    expect(page?.text.length).toBeGreaterThanOrEqual(appended[streamId]!);
  }
});
