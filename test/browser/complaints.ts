import type { Page } from "playwright-core";

/** A page's errors, without the browser's own about a network that fails. */
export function complaintsOf(page: Page): string[] {
  const complaints: string[] = [];
  page.on("pageerror", (error) => complaints.push(String(error.stack)));
  page.on("console", (message) => {
    if (message.type() !== "error") return;
    const text = message.text();
    if (/^Failed to load resource|^WebSocket connection to/.test(text)) return;
    complaints.push(text);
  });
  return complaints;
}
