// @vitest-environment jsdom
/** `useChat` of the AI SDK 5, 6 and 7 over a `PersistentChatTransport`. */
import { useChat as useChat6 } from "@ai-sdk/react";
import { cleanup, renderHook, waitFor } from "@testing-library/react";
import { useChat as useChat5 } from "ai-sdk-react-5";
import { useChat as useChat7 } from "ai-sdk-react-7";
import {
  lastAssistantMessageIsCompleteWithToolCalls,
  type UIMessage,
} from "ai";
import { ConvexHttpClient } from "convex/browser";
import { StrictMode } from "react";
import { afterEach, describe, expect, inject, test } from "vitest";
import {
  PersistentChatTransport,
  type ChatRequest,
} from "../../src/ai/index.js";
import type { StreamId } from "../../src/client/index.js";
import "../support/patience.js";
import { chat as functions } from "../support/reader.js";

const [{ url: deploymentUrl, siteUrl }] = inject("deployments");
const client = new ConvexHttpClient(deploymentUrl, { logger: false });
const create = () => client.mutation(functions.create, {}) as Promise<string>;
const change = (name: "goOn" | "stop" | "timeOut", streamId: string) =>
  client.mutation(functions[name], { streamId: streamId as StreamId });
const runs = (streamId: string) => client.query(functions.runs, { streamId });
afterEach(cleanup);

// Each has its own types, but what the tests use is the same in all.
const versions = [
  ["5", useChat5 as unknown as typeof useChat6],
  ["6", useChat6],
  ["7", useChat7 as unknown as typeof useChat6],
] as const;

const REPLY = "Tides follow the moon 🌙, 潮汐。";
const GATE = 10;

describe.each(versions)("useChat of the AI SDK %s", (_, useChat) => {
  /** A page with a chat. `plan`: how replies are written. */
  function openChat(
    plan: Record<string, string>,
    options: { activeStream?: string; messages?: UIMessage[] } = {},
  ) {
    const requests: ChatRequest[] = [];
    const streams: string[] = [];
    const signals: AbortSignal[] = [];
    const finishes: { isAbort: boolean; isError: boolean }[] = [];
    const errors: string[] = [];
    const transport = new PersistentChatTransport({
      url: `${siteUrl}/chat?${new URLSearchParams(plan)}`,
      send: async (request) => {
        requests.push(request);
        const streamId = await create();
        streams.push(streamId);
        return streamId;
      },
      activeStream: () => options.activeStream,
      fetch: (to, init) => {
        if (init.signal) signals.push(init.signal);
        // A tool's result is answered with text.
        const posted = streams.length > 1 ? to.replace("tool=", "x=") : to;
        return fetch(posted, init);
      },
    });
    const { result, unmount } = renderHook(
      () =>
        useChat({
          id: "chat",
          transport,
          resume: options.activeStream !== undefined,
          messages: options.messages ?? [],
          onFinish: ({ isAbort, isError }) => {
            finishes.push({ isAbort, isError });
          },
          onError: ({ message }) => void errors.push(message),
          sendAutomaticallyWhen: lastAssistantMessageIsCompleteWithToolCalls,
        }),
      { wrapper: StrictMode },
    );
    const chat = () => result.current;
    const reply = () =>
      chat()
        .messages.at(-1)
        ?.parts.map((part) => (part.type === "text" ? part.text : ""))
        .join("") ?? "";
    return {
      chat,
      reply,
      requests,
      streams,
      finishes,
      errors,
      unmount,
      ready: () => waitFor(() => expect(chat().status).toBe("ready")),
      /** Asks a question. */
      send: () => void chat().sendMessage({ text: "Why?" }),
      /** Waits until half of the reply is there. Returns its stream. */
      half: async () => {
        await waitFor(() => expect(reply().length).toBeGreaterThanOrEqual(5));
        return streams[0] ?? "";
      },
      isWhole: () => waitFor(() => expect(reply()).toBe(REPLY)),
      leavesNoRequestOpen: () =>
        waitFor(() =>
          expect(signals.every(({ aborted }) => aborted)).toBe(true),
        ),
    };
  }
  const gated = { reply: REPLY, gate: String(GATE) };

  test("a reply arrives as it is written, and is one message with its stream's id", async () => {
    const { chat, send, half, ready, reply, finishes } = openChat(gated);
    send();
    const streamId = await half();
    expect(chat().status).toBe("streaming");
    expect(REPLY.startsWith(reply())).toBe(true);
    await change("goOn", streamId);
    await ready();
    expect(chat().messages).toHaveLength(2);
    const message = { id: streamId, role: "assistant" };
    expect(chat().messages[1]).toMatchObject(message);
    expect(reply()).toBe(REPLY);
    expect(finishes).toEqual([{ isAbort: false, isError: false }]);
  });

  test("regenerate() replaces the reply", async () => {
    const page = openChat({ reply: REPLY });
    const { chat, streams, ready } = page;
    page.send();
    await page.isWhole();
    await ready();
    void chat().regenerate();
    await waitFor(() => expect(streams).toHaveLength(2));
    await waitFor(() => expect(chat().messages.at(-1)?.id).toBe(streams[1]));
    await ready();
    expect(page.requests[1]).toMatchObject({ trigger: "regenerate-message" });
    expect(chat().messages).toHaveLength(2);
    expect(page.reply()).toBe(REPLY);
  });

  test("a tool's result is sent automatically, and the reply continues in the same message", async () => {
    const page = openChat({ tool: "", reply: REPLY });
    const { chat, streams, ready } = page;
    page.send();
    const call = { state: "input-available" };
    await waitFor(() =>
      expect(chat().messages.at(-1)?.parts.at(-1)).toMatchObject(call),
    );
    await ready();
    const output = { toolCallId: "call", output: "Brest" };
    void chat().addToolOutput({ tool: "place" as never, ...output });
    await page.isWhole();
    await ready();
    expect(streams).toHaveLength(2);
    expect(chat().messages).toHaveLength(2);
    expect(chat().messages[1]).toMatchObject({ id: streams[0] });
  });

  test.each(["stop()", "stop() as the page is left"])(
    "%s leaves no request open",
    async (name) => {
      const page = openChat(gated);
      page.send();
      const streamId = await page.half();
      const stopping = page.chat().stop();
      if (name === "stop()") {
        await stopping;
        await page.ready();
        expect(REPLY.startsWith(page.reply())).toBe(true);
        expect(page.finishes).toEqual([{ isAbort: true, isError: false }]);
      } else page.unmount();
      await page.leavesNoRequestOpen();
      await change("goOn", streamId);
    },
  );

  test.each(["a page that is reloaded", "another tab"])(
    "%s in mid-stream has one message, whole, and the reply is written once",
    async (name) => {
      const first = openChat(gated);
      first.send();
      const streamId = await first.half();
      const messages = structuredClone(first.chat().messages);
      const isReload = name === "a page that is reloaded";
      if (isReload) first.unmount();
      const second = openChat(gated, { activeStream: streamId, messages });
      await second.half();
      await change("goOn", streamId);
      for (const tab of isReload ? [second] : [first, second]) {
        await tab.isWhole();
        await tab.ready();
        const ids = tab.chat().messages.map(({ id }) => id);
        expect(ids).toEqual([messages[0]?.id, streamId]);
      }
      expect(await runs(streamId)).toBe(1);
    },
  );

  test("if a page dies before its request, the next one makes it", async () => {
    const streamId = await create();
    await openChat({ reply: REPLY }, { activeStream: streamId }).isWhole();
    expect(await runs(streamId)).toBe(1);
  });

  test.each([
    ["error", "The writer failed."],
    ["timeout", "The writer stopped responding."],
    ["aborted", null],
  ])("a stream that ended as %s is not a success", async (status, message) => {
    const plan = status === "error" ? { reply: REPLY, failAt: "10" } : gated;
    const { chat, send, half, finishes, errors } = openChat(plan);
    send();
    const streamId = await half();
    if (status === "aborted") await change("stop", streamId);
    if (status === "timeout") await change("timeOut", streamId);
    await waitFor(() => expect(finishes).toHaveLength(1));
    const isError = message !== null;
    expect(finishes).toEqual([{ isAbort: !isError, isError }]);
    const shown = isError ? "error" : "ready";
    await waitFor(() => expect(chat().status).toBe(shown));
    expect(errors).toHaveLength(isError ? 1 : 0);
    expect(errors[0] ?? "").toContain(message ?? "");
  });
});
