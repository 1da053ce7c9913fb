import type { Page } from "playwright-core";
import { expect } from "vitest";
import { Chat } from "./chatPage.js";

export type Phase = "nothing" | "reasoning" | "calling" | "answered" | "text";

/** A conversation with the assistant, as its user sees it. */
export class AssistantChat extends Chat {
  static override async open(page: Page, url: string): Promise<AssistantChat> {
    await page.goto(url);
    const chat = new AssistantChat(page);
    await chat.box.waitFor();
    return chat;
  }

  /** Chooses where the next reply is generated. */
  async choose(generation: "request" | "action" | "node"): Promise<void> {
    await this.page.getByLabel("The model runs").selectOption(generation);
  }

  /** The phase of the latest reply. */
  async phase(): Promise<Phase> {
    return await this.page.evaluate(() => {
      const article = [...document.querySelectorAll("article")].at(-1);
      if (article?.querySelector(".prose")?.textContent) return "text";
      const call = article?.querySelector("section")?.dataset.state;
      if (call === "answered") return "answered";
      if (call !== undefined) return "calling";
      return article?.querySelector("details p")?.textContent
        ? "reasoning"
        : "nothing";
    });
  }

  async reaches(phase: Phase): Promise<void> {
    await expect.poll(() => this.phase()).toBe(phase);
  }

  /** The content of the latest reply, open or closed: reasoning, tool calls and text. */
  async content(): Promise<string> {
    return await this.page.evaluate(() => {
      const article = [...document.querySelectorAll("article")].at(-1);
      return [
        ...(article?.querySelectorAll("details p, section, .prose") ?? []),
      ]
        .map((part) => part.textContent)
        .join("\n");
    });
  }
}
