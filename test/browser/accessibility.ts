/** On every screen: axe's rules, no sideways scrolling, and 44 px for a finger. */
import axe from "axe-core";
import type { Page } from "playwright-core";
import { expect } from "vitest";

const screens = [
  { colorScheme: "light", width: 1440 },
  { colorScheme: "light", width: 360 },
  { colorScheme: "dark", width: 1440 },
  { colorScheme: "dark", width: 360 },
] as const;

/** Serious or critical problems that axe finds. */
async function findings(page: Page): Promise<string[]> {
  await page.evaluate(axe.source);
  const { violations } = await page.evaluate(async () => {
    const { axe } = window as unknown as { axe: typeof import("axe-core") };
    return axe.run();
  });
  return violations
    .filter(({ impact }) => impact === "serious" || impact === "critical")
    .flatMap(({ id, nodes }) =>
      nodes.map(
        ({ html, failureSummary }) => `${id}: ${html}\n${failureSummary}`,
      ),
    );
}

/** Elements that scroll sideways, and controls that are too small for a finger. */
async function misfits(page: Page): Promise<string[]> {
  return await page.evaluate(() => {
    const all = (selector: string) => [...document.querySelectorAll(selector)];
    const sideways = all("html, main, [aria-label=Messages]").filter(
      (element) => element.scrollWidth > element.clientWidth,
    );
    const tooSmall = all("button, a, summary, select, textarea, input")
      // Links in a text are exempt.
      .filter((element) => !element.matches("p a, .prose a"))
      .filter((element) => element.checkVisibility())
      .filter((element) => {
        const { width, height } = element.getBoundingClientRect();
        return width > 0 && (width < 44 || height < 44);
      });
    const isForFingers = innerWidth < 768;
    return [...sideways, ...(isForFingers ? tooSmall : [])].map((element) => {
      const { width, height } = element.getBoundingClientRect();
      return `${element.outerHTML.slice(0, 80)}: ${width} × ${height}`;
    });
  });
}

/** Nothing on the page may change meanwhile. */
export async function isAccessible(page: Page): Promise<void> {
  for (const { colorScheme, width } of screens) {
    await page.emulateMedia({ colorScheme, reducedMotion: "reduce" });
    await page.setViewportSize({ width, height: 800 });
    const problems = async () => [
      ...(await findings(page)),
      ...(await misfits(page)),
    ];
    // Colors and widths take a moment to change.
    await expect
      .poll(problems, { message: `${colorScheme}, ${width} px` })
      .toEqual([]);
  }
}
