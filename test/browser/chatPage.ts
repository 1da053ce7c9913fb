import type { Locator, Page } from "playwright-core";
import { expect } from "vitest";
import type { StreamStatus } from "../../src/shared.js";

/** The chat, as its user sees it. */
export class Chat {
  readonly box: Locator;
  readonly replies: Locator;
  /** The latest reply. */
  readonly reply: Locator;

  private constructor(readonly page: Page) {
    this.box = page.getByRole("textbox", { name: /message/i });
    this.replies = page.getByRole("article");
    this.reply = this.replies.last();
  }

  static async open(page: Page, url: string): Promise<Chat> {
    await page.goto(url);
    const chat = new Chat(page);
    await chat.box.waitFor();
    return chat;
  }

  button(name: string | RegExp): Locator {
    return this.page.getByRole("button", { name });
  }

  /** Sends a message, and waits until its reply is there. */
  async send(prompt: string): Promise<void> {
    const before = await this.replies.count();
    await this.box.fill(prompt);
    await this.button("Send").click();
    await expect.poll(() => this.replies.count()).toBe(before + 1);
  }

  /** The visible text of the latest reply. */
  text(): Promise<string> {
    return this.reply.innerText();
  }

  status(): Promise<string | null> {
    return this.reply.getAttribute("data-status");
  }

  async becomes(status: StreamStatus): Promise<void> {
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
