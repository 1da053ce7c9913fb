/** On every screen: axe's rules, no sideways scrolling, and 44 px for a finger. */
import axe from "axe-core";
import type { Page } from "playwright-core";
import { expect, test, vi } from "vitest";
import { reaches } from "./assistantPage.js";
import { Chat } from "./chatPage.js";
import { useDemo } from "./useDemo.js";

const setup = useDemo();

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

async function isFine(page: Page): Promise<void> {
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

test("the chat: empty, in mid-stream, finished, failed, and unknown", async () => {
  const chat = await Chat.open(await setup.newPage(), setup.demo.url);
  await isFine(chat.page);

  await setup.demo.pace(100);
  await chat.send("Write a debounce function in TypeScript");
  await chat.grows(300);
  // Slow enough that nothing changes while axe runs.
  await setup.demo.pace(0.1);
  await isFine(chat.page);
  expect(await chat.status()).toBe("streaming");

  await setup.demo.pace(2000);
  await chat.becomes("done");
  await chat.send("Put the planets in a table, but fail half way");
  await chat.becomes("error");
  await isFine(chat.page);

  await chat.page.goto(`${setup.demo.url}/c/nonsense`);
  await chat.page.getByRole("alert").waitFor();
  await isFine(chat.page);
});

test("the assistant: empty, thinking, calling a tool, writing, finished and failed", async () => {
  vi.stubEnv("TIDE_TABLE_MS", "15000");
  const page = await setup.newPage();
  const chat = await Chat.open(page, `${setup.demo.url}/assistant`);
  await isFine(page);

  await setup.demo.pace(20);
  await chat.send("When is high water in Saint-Malo?");
  // Paused in each phase, so that nothing changes while axe runs.
  for (const phase of ["reasoning", "calling", "text"] as const) {
    await reaches(chat, phase);
    await setup.demo.pace(0.01);
    await isFine(page);
    await setup.demo.pace(100);
  }

  await setup.demo.pace(5000);
  await chat.becomes("done");
  await chat.reply.locator("summary").click();
  await isFine(page);
  await chat.send("The tides in Bristol, but fail half way");
  await chat.becomes("error");
  await isFine(page);
});

test("side by side: in mid-stream with ten followers, and finished", async () => {
  const page = await setup.newPage();
  await page.goto(`${setup.demo.url}/compare`);
  const followed = page.getByRole("article", { name: "Followed" });
  await setup.demo.pace(100);
  await page.getByRole("button", { name: "Start a reply" }).click();
  await page.getByRole("button", { name: "Open ten followers" }).click();
  await expect
    .poll(async () => (await followed.innerText()).length)
    .toBeGreaterThan(500);
  await setup.demo.pace(0.1);
  await isFine(page);
  expect(await followed.getAttribute("data-status")).toBe("streaming");

  await setup.demo.pace(5000);
  await expect.poll(() => followed.getAttribute("data-status")).toBe("done");
  await isFine(page);
});
