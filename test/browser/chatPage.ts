import type { Locator, Page } from "playwright-core";
import { expect } from "vitest";

export type Status =
  "pending" | "streaming" | "done" | "error" | "timeout" | "aborted";

/** The chat, as its user sees it. */
export class Chat {
  readonly box: Locator;
  readonly sendButton: Locator;
  readonly stopButton: Locator;
  readonly replies: Locator;

  constructor(readonly page: Page) {
    this.box = page.getByRole("textbox", { name: /message/i });
    this.sendButton = page.getByRole("button", { name: "Send" });
    this.stopButton = page.getByRole("button", { name: "Stop" });
    this.replies = page.getByRole("article");
  }

  static async open(page: Page, url: string): Promise<Chat> {
    await page.goto(url);
    const chat = new Chat(page);
    await chat.box.waitFor();
    return chat;
  }

  get reply(): Locator {
    return this.replies.last();
  }

  async send(prompt: string): Promise<void> {
    await this.box.fill(prompt);
    await this.sendButton.click();
  }

  /** The visible text of the latest reply; empty if there is none. */
  async text(): Promise<string> {
    return await this.page.evaluate(() => {
      const article = [...document.querySelectorAll("article")].at(-1);
      return article?.innerText ?? "";
    });
  }

  /** The status of the latest reply; null if there is none. */
  async status(): Promise<string | null> {
    return await this.page.evaluate(() => {
      const article = [...document.querySelectorAll("article")].at(-1);
      return article?.dataset.status ?? null;
    });
  }

  async becomes(status: Status): Promise<void> {
    await expect.poll(() => this.status()).toBe(status);
  }

  /** Waits until the latest reply is being written and has grown by this many characters. */
  async grows(by = 100): Promise<void> {
    await this.becomes("streaming");
    const before = (await this.text()).length;
    await expect
      .poll(async () => (await this.text()).length)
      .toBeGreaterThan(before + by);
  }
}
