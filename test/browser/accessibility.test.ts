/** On every screen: axe's rules, no sideways scrolling, and 44 px for a finger. */
import axe from "axe-core";
import type { Page } from "playwright-core";
import { describe, expect, test } from "vitest";
import { AssistantChat } from "./assistantPage.js";
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
    .flatMap(({ id, help, nodes }) =>
      nodes.map(
        ({ html, failureSummary }) =>
          `${id}: ${help}\n${html}\n${failureSummary}`,
      ),
    );
}

/** Elements that scroll sideways. */
async function scrollsSideways(page: Page): Promise<string[]> {
  return await page.evaluate(() =>
    [
      document.documentElement,
      ...document.querySelectorAll("main, [aria-label=Messages]"),
    ]
      .filter((element) => element.scrollWidth > element.clientWidth)
      .map(
        (element) =>
          `${element.tagName}: ${element.scrollWidth} > ${element.clientWidth}`,
      ),
  );
}

/** Controls that are too small for a finger. Links in a text are exempt. */
async function tooSmall(page: Page): Promise<string[]> {
  return await page.evaluate(() =>
    [
      ...document.querySelectorAll(
        "button, a, summary, select, textarea, input",
      ),
    ]
      .filter((element) => element.checkVisibility())
      .filter((element) => element.matches("p a, .prose a") === false)
      .filter((element) => {
        const { width, height } = element.getBoundingClientRect();
        return width > 0 && (width < 44 || height < 44);
      })
      .map((element) => {
        const { width, height } = element.getBoundingClientRect();
        return `${element.outerHTML.slice(0, 80)}: ${width} × ${height}`;
      }),
  );
}

async function isFineFor(page: Page): Promise<void> {
  const width = page.viewportSize()?.width ?? 0;
  if (width < 768) expect(await tooSmall(page)).toEqual([]);
  expect(await findings(page)).toEqual([]);
  expect(await scrollsSideways(page)).toEqual([]);
}

describe.each(screens)("$colorScheme, $width px", ({ colorScheme, width }) => {
  const options = { colorScheme, viewport: { width, height: 800 } };

  test("the chat: empty, in mid-stream, finished, failed, and unknown", async () => {
    const chat = await Chat.open(await setup.newPage(options), setup.demo.url);
    await isFineFor(chat.page);

    await chat.send("Write a debounce function in TypeScript");
    await setup.demo.pace(100);
    await chat.grows(300);
    // Slow enough that nothing changes while axe runs.
    await setup.demo.pace(0.1);
    await isFineFor(chat.page);
    expect(await chat.status()).toBe("streaming");

    await setup.demo.pace(2000);
    await chat.becomes("done");
    await chat.send("Put the planets in a table, but fail half way");
    await expect.poll(() => chat.replies.count()).toBe(2);
    await chat.becomes("error");
    await isFineFor(chat.page);

    await chat.page.goto(`${setup.demo.url}/c/nonsense`);
    await chat.page.getByRole("alert").waitFor();
    await isFineFor(chat.page);
  });

  test("the assistant: empty, thinking, calling a tool, writing, finished and failed", async () => {
    const page = await setup.newPage(options);
    const chat = await AssistantChat.open(page, `${setup.demo.url}/assistant`);
    await isFineFor(page);

    process.env.TIDE_TABLE_MS = "4000";
    await setup.demo.pace(20);
    await chat.send("When is high water in Saint-Malo?");
    // Paused in each phase, so that nothing changes while axe runs.
    for (const phase of ["reasoning", "calling", "text"] as const) {
      await chat.reaches(phase);
      await setup.demo.pace(0.01);
      await isFineFor(page);
      await setup.demo.pace(100);
    }

    await setup.demo.pace(5000);
    await chat.becomes("done");
    await chat.reply.locator("summary").click();
    await isFineFor(page);
    await chat.send("The tides in Bristol, but fail half way");
    await expect.poll(() => chat.replies.count()).toBe(2);
    await chat.becomes("error");
    await isFineFor(page);
  });

  test("side by side: in mid-stream with ten followers, and finished", async () => {
    const page = await setup.newPage(options);
    await page.goto(`${setup.demo.url}/compare`);
    const followed = page.getByRole("article", { name: "Followed" });
    await setup.demo.pace(100);
    await page.getByRole("button", { name: "Start a reply" }).click();
    await page.getByRole("button", { name: "Open ten followers" }).click();
    await expect
      .poll(async () => (await followed.innerText()).length)
      .toBeGreaterThan(500);
    await setup.demo.pace(0.1);
    await isFineFor(page);
    expect(await followed.getAttribute("data-status")).toBe("streaming");

    await setup.demo.pace(5000);
    await expect.poll(() => followed.getAttribute("data-status")).toBe("done");
    await isFineFor(page);
  });
});
