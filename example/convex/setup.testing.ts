/// <reference types="vite/client" />
/** What the example's tests share. (Convex takes no file with two dots for functions.) */
import type { StreamId } from "@convex-dev/persistent-text-streaming";
import { register } from "@convex-dev/persistent-text-streaming/test";
import { convexTest, type TestConvex } from "convex-test";
import { AsyncLocalStorage } from "node:async_hooks";
import { afterEach, beforeEach, vi } from "vitest";
// Loaded now: while it loads later, the fake clock would run past the fallback.
import "./http";
import schema from "./schema";

const modules = import.meta.glob([
  "./**/*.ts",
  "./**/*.js",
  "!./**/*.test*.ts",
]);

type App = TestConvex<typeof schema>;
export type User = ReturnType<App["withIdentity"]>;

/** The example under a fake clock, started anew for each test of the file. */
export function useApp() {
  const app = {} as { t: App; alice: User };
  beforeEach(() => {
    vi.useFakeTimers({
      toFake: ["setTimeout", "clearTimeout", "Date"],
      now: Date.UTC(2026, 10, 21, 12),
    });
    // A timer runs in the context of the action that set it, not of the test that
    // moves the clock.
    const { setTimeout } = globalThis;
    vi.stubGlobal("setTimeout", (call: () => void, ms?: number) =>
      setTimeout(AsyncLocalStorage.bind(call), ms),
    );
    app.t = convexTest({ schema, modules, transactionLimits: true });
    register(app.t);
    const issuer = "https://auth.test";
    app.alice = app.t.withIdentity({ subject: "alice", issuer, name: "Alice" });
  });
  afterEach(async () => {
    await app.t.finishAllScheduledFunctions(vi.runAllTimers);
    vi.unstubAllEnvs();
    vi.unstubAllGlobals();
    vi.useRealTimers();
  });
  return app;
}

/** A choice in an event of a model's reply, or an error in its place. */
type Choice =
  | { delta?: object; finish_reason?: string | undefined }
  | { error: { message: string } };
export type Answer = Choice[] | Error;

export const says = (content: string): Choice => ({ delta: { content } });
export const thinks = (reasoning_content: string): Choice => ({
  delta: { reasoning_content },
});
export const ends = (finish_reason?: string): Choice => ({ finish_reason });
/** Ends the reply with a call of the tide table. */
export const calls = (input: string): Choice => {
  const call = { name: "tideTable", arguments: input };
  return {
    delta: {
      tool_calls: [
        { index: 0, id: "call-1", type: "function", function: call },
      ],
    },
    finish_reason: "tool_calls",
  };
};

interface ModelMessage {
  role: string;
  content: string | null;
  tool_calls?: { id: string }[];
  tool_call_id?: string;
}

/**
 * A model that answers each request with these choices, or refuses it with this error.
 *
 * @returns The messages of each request, without the system prompt.
 */
export function stubModel(...answers: Answer[]) {
  const asked: ModelMessage[][] = [];
  vi.stubEnv("OPENAI_API_KEY", "test");
  vi.stubGlobal("fetch", (_url: unknown, init: { body: string }) => {
    const body = JSON.parse(init.body) as { messages: ModelMessage[] };
    asked.push(body.messages.filter(({ role }) => role !== "system"));
    const answer = answers[asked.length - 1] ?? [];
    if (answer instanceof Error) {
      const error = { message: answer.message };
      return Promise.resolve(Response.json({ error }, { status: 400 }));
    }
    const hasEnd = answer.some((choice) => "finish_reason" in choice);
    const choices = hasEnd ? answer : [...answer, ends("stop")];
    const head = { id: "x", created: 0, model: "x" };
    const events = choices.map((choice) =>
      "error" in choice
        ? choice
        : { ...head, choices: [{ index: 0, delta: {}, ...choice }] },
    );
    const data = [...events.map((event) => JSON.stringify(event)), "[DONE]"];
    const text = data.map((line) => `data: ${line}\n\n`).join("");
    const headers = { "Content-Type": "text/event-stream" };
    return Promise.resolve(new Response(text, { headers }));
  });
  return asked;
}

/** Runs the clock along until something has happened. */
export async function inTime<Result>(running: Promise<Result>) {
  let ended = false;
  const end = () => (ended = true);
  running.then(end, end);
  while (!ended) await vi.advanceTimersByTimeAsync(10);
  return await running;
}

/** Asks for a reply to be written, and waits for its end. */
export const drive = (user: User, path: string, streamId: StreamId) =>
  ask(user, path, { method: "POST", body: JSON.stringify({ streamId }) });

export const ask = (user: User, path: string, init?: RequestInit) =>
  inTime(
    user.fetch(path, init).then(async (response) => ({
      status: response.status,
      text: await response.text(),
    })),
  );
