/** The assistant's replies, as its user sees them. */
import { expect } from "vitest";
import type { Chat } from "./chatPage.js";

export type Phase = "reasoning" | "calling" | "text";

/** Waits until the latest reply has reached a phase. */
export async function reaches(chat: Chat, phase: Phase): Promise<void> {
  const phaseOf = (article: HTMLElement | SVGElement) => {
    if (article.querySelector(".prose")?.textContent) return "text";
    const call = article.querySelector("section")?.dataset.state;
    if (call !== undefined) return call === "answered" ? call : "calling";
    return article.querySelector("details p")?.textContent && "reasoning";
  };
  await expect.poll(() => chat.reply.evaluate(phaseOf)).toBe(phase);
}

/** The content of the latest reply, open or closed: reasoning, tool calls and text. */
export async function contentOf(chat: Chat): Promise<string> {
  const parts = chat.reply.locator("details p, section, .prose");
  return (await parts.allTextContents()).join("\n");
}
