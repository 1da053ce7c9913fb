import type { Page } from "playwright-core";
import { expect } from "vitest";
import type { StreamState } from "../../../src/shared.js";
import { PATIENCE } from "../chatPage.js";
import type { Lab } from "./hook-page.js";
import type { ReaderProps } from "../../support/reader.js";

/** A reader on a page. */
export class RemoteReader {
  private constructor(
    private readonly page: Page,
    private readonly index: number,
  ) {}

  static async mount(page: Page, props: ReaderProps): Promise<RemoteReader> {
    const index = await page.evaluate(
      (given) => (window as unknown as { lab: Lab }).lab.mount(given),
      props,
    );
    return new RemoteReader(page, index);
  }

  /** Goes over to another stream. Its history begins anew. */
  async begins(changes: Partial<ReaderProps>): Promise<void> {
    await this.page.evaluate(
      ([index, given]) => {
        const reader = (window as unknown as { lab: Lab }).lab.reader(index);
        reader.update(given);
        reader.history.shown.length = 0;
      },
      [this.index, changes] as const,
    );
  }

  async unmount(): Promise<void> {
    await this.page.evaluate(
      (index) =>
        (window as unknown as { lab: Lab }).lab.reader(index).unmount(),
      this.index,
    );
  }

  async state() {
    return await this.page.evaluate((index) => {
      const { history } = (window as unknown as { lab: Lab }).lab.reader(index);
      return {
        ...history.last,
        steps: history.shown.length,
        mounts: history.mounts,
        stepBack: history.stepBack(),
      };
    }, this.index);
  }

  async text(): Promise<string> {
    return (await this.state()).text;
  }

  /** Waits until it shows this. It must never have shown anything that is not on the way there. */
  async shows(text: string, status: StreamState["status"]): Promise<void> {
    await expect
      .poll(async () => {
        const now = await this.state();
        return `${now.status}, ${now.text.length} characters`;
      }, PATIENCE)
      .toBe(`${status}, ${text.length} characters`);
    const now = await this.state();
    expect(now.text).toBe(text);
    expect(now.stepBack).toBeNull();
  }

  /** Waits in the page itself, where nothing is late. */
  async grows(by = 50): Promise<void> {
    await this.page.evaluate(
      async ([index, more]) => {
        const { lab } = window as unknown as { lab: Lab };
        const { history } = lab.reader(index);
        const before = history.last.text.length;
        while (history.last.text.length < before + more) {
          if (history.last.status === "done") throw new Error("It has ended.");
          await new Promise((resolve) => setTimeout(resolve));
        }
      },
      [this.index, by] as const,
    );
  }
}
