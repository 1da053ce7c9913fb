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
import { makeFunctionReference } from "convex/server";
import { StrictMode, useEffect } from "react";
import { afterEach, describe, expect, inject, test } from "vitest";
import {
  PersistentChatTransport,
  type ChatRequest,
} from "../../src/ai/index.js";
import "../support/patience.js";

const [{ url: deploymentUrl, siteUrl }] = inject("deployments");
const client = new ConvexHttpClient(deploymentUrl, { logger: false });
const create = makeFunctionReference<"mutation", Record<string, never>, string>(
  "chat:create",
);
const change = (name: string, args: Record<string, string>) =>
  client.mutation(makeFunctionReference<"mutation">(name), args);
const runs = (streamId: string): Promise<unknown> =>
  client.query(makeFunctionReference<"query">("chat:runs"), { streamId });
afterEach(cleanup);

// Each has its own types, but what the tests use is the same in all.
const versions = [
  ["5", useChat5 as unknown as typeof useChat6],
  ["6", useChat6],
  ["7", useChat7 as unknown as typeof useChat6],
] as const;

const REPLY = "Tides follow the moon 🌙, 潮汐。";
const GATE = 10;

const textOf = (message: UIMessage | undefined) =>
  message?.parts
    .map((part) => (part.type === "text" ? part.text : ""))
    .join("");

describe.each(versions)("useChat of the AI SDK %s", (_, useChat) => {
  /** A page with a chat. `plan`: how replies are written. */
  function openChat(
    plan: Record<string, string>,
    options: {
      activeStream?: string;
      messages?: UIMessage[];
      answersTools?: boolean;
      stopsAtUnmount?: boolean;
    } = {},
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
        const streamId = await client.mutation(create, {});
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
      () => {
        const chat = useChat({
          id: "chat",
          transport,
          resume: options.activeStream !== undefined,
          messages: options.messages ?? [],
          onFinish: ({ isAbort, isError }) => {
            finishes.push({ isAbort, isError });
          },
          onError: ({ message }) => void errors.push(message),
          ...(options.answersTools && {
            sendAutomaticallyWhen: lastAssistantMessageIsCompleteWithToolCalls,
          }),
        });
        const { stop } = chat;
        const { stopsAtUnmount = false } = options;
        useEffect(
          () => () => void (stopsAtUnmount && stop()),
          [stop, stopsAtUnmount],
        );
        return chat;
      },
      { wrapper: StrictMode },
    );
    const chat = () => result.current;
    const reply = () => textOf(chat().messages.at(-1));
    return {
      chat,
      reply,
      requests,
      streams,
      signals,
      finishes,
      errors,
      unmount,
      send: () => void chat().sendMessage({ text: "Why?" }),
      ready: () => waitFor(() => expect(chat().status).toBe("ready")),
      half: () =>
        waitFor(() => expect(reply()?.length).toBeGreaterThanOrEqual(5)),
    };
  }
  const gated = { reply: REPLY, gate: String(GATE) };

  test("a reply arrives as it is written, and is one message with its stream's id", async () => {
    const { chat, send, half, ready, reply, streams, finishes } =
      openChat(gated);
    send();
    await half();
    expect(chat().status).toBe("streaming");
    expect(REPLY.startsWith(reply() ?? "-")).toBe(true);
    await change("chat:goOn", { streamId: String(streams[0]) });
    await ready();
    expect(chat().messages).toHaveLength(2);
    expect(chat().messages[1]).toMatchObject({
      id: streams[0],
      role: "assistant",
    });
    expect(reply()).toBe(REPLY);
    expect(finishes).toEqual([{ isAbort: false, isError: false }]);
  });

  test("regenerate() replaces the reply", async () => {
    const { chat, send, ready, reply, streams, requests } = openChat({
      reply: REPLY,
    });
    send();
    await waitFor(() => expect(reply()).toBe(REPLY));
    await ready();
    void chat().regenerate();
    await waitFor(() => expect(streams).toHaveLength(2));
    await waitFor(() => expect(chat().messages.at(-1)?.id).toBe(streams[1]));
    await ready();
    expect(requests[1]).toMatchObject({ trigger: "regenerate-message" });
    expect(chat().messages).toHaveLength(2);
    expect(reply()).toBe(REPLY);
  });

  test("a tool's result is sent automatically, and the reply continues in the same message", async () => {
    const { chat, send, ready, reply, streams } = openChat(
      { tool: "", reply: REPLY },
      { answersTools: true },
    );
    send();
    await waitFor(() =>
      expect(chat().messages.at(-1)?.parts.at(-1)).toMatchObject({
        state: "input-available",
      }),
    );
    await ready();
    void chat().addToolOutput({
      tool: "place" as never,
      toolCallId: "call",
      output: "Brest",
    });
    await waitFor(() => expect(reply()).toBe(REPLY));
    await ready();
    expect(streams).toHaveLength(2);
    expect(chat().messages).toHaveLength(2);
    expect(chat().messages[1]).toMatchObject({ id: streams[0] });
  });

  test("stop() ends the reading, and leaves no request open", async () => {
    const { chat, send, half, ready, reply, streams, signals, finishes } =
      openChat(gated);
    send();
    await half();
    await chat().stop();
    await ready();
    expect(reply()).toBe(REPLY.slice(0, reply()?.length));
    expect(finishes).toEqual([{ isAbort: true, isError: false }]);
    await waitFor(() =>
      expect(signals.every(({ aborted }) => aborted)).toBe(true),
    );
    await change("chat:goOn", { streamId: String(streams[0]) });
  });

  test("a page that is left in mid-stream leaves no request open", async () => {
    // Version 7 stops by itself.
    const { send, half, streams, signals, unmount } = openChat(gated, {
      stopsAtUnmount: true,
    });
    send();
    await half();
    unmount();
    await waitFor(() =>
      expect(signals.every(({ aborted }) => aborted)).toBe(true),
    );
    await change("chat:goOn", { streamId: String(streams[0]) });
  });

  test.each(["a page that is reloaded", "another tab"])(
    "%s in mid-stream has one message, whole, and the reply is written once",
    async (name) => {
      const first = openChat(gated);
      first.send();
      await first.half();
      const streamId = String(first.streams[0]);
      const messages = structuredClone(first.chat().messages);
      if (name !== "another tab") first.unmount();
      const second = openChat(gated, { activeStream: streamId, messages });
      await second.half();
      await change("chat:goOn", { streamId });
      for (const tab of name === "another tab" ? [first, second] : [second]) {
        await waitFor(() => expect(tab.reply()).toBe(REPLY));
        await tab.ready();
        expect(tab.chat().messages.map(({ id }) => id)).toEqual([
          messages[0]?.id,
          streamId,
        ]);
      }
      expect(await runs(streamId)).toBe(1);
    },
  );

  test("if a page dies before its request, the next one makes it", async () => {
    const streamId = await client.mutation(create, {});
    const page = openChat({ reply: REPLY }, { activeStream: streamId });
    await waitFor(() => expect(page.reply()).toBe(REPLY));
    expect(await runs(streamId)).toBe(1);
  });

  test.each([
    ["error", "The writer failed."],
    ["timeout", "The writer stopped responding."],
    ["aborted", null],
  ])("a stream that ended as %s is not a success", async (status, message) => {
    const plan = status === "error" ? { reply: REPLY, failAt: "10" } : gated;
    const { chat, send, half, streams, finishes, errors } = openChat(plan);
    send();
    await half();
    const streamId = String(streams[0]);
    if (status === "aborted") await change("chat:stop", { streamId });
    if (status === "timeout") {
      await change("chat:timeOut", { streamId });
    }
    await waitFor(() => expect(finishes).toHaveLength(1));
    const isError = message !== null;
    expect(finishes).toEqual([{ isAbort: !isError, isError }]);
    await waitFor(() =>
      expect(chat().status).toBe(isError ? "error" : "ready"),
    );
    expect(errors).toEqual(
      isError ? [expect.stringContaining(message) as string] : [],
    );
  });
});
