/** "Side by side": one stream, driven and followed on one page. */
import type { Locator, Page } from "playwright-core";
import { expect, test } from "vitest";
import { PATIENCE } from "./chatPage.js";
import { useDemo } from "./useDemo.js";

const setup = useDemo();

async function start(tokensPerSecond: number): Promise<Page> {
  const page = await setup.newPage();
  await page.goto(`${setup.demo.url}/compare`);
  await setup.demo.pace(tokensPerSecond);
  await page.getByRole("button", { name: "Start a reply" }).click();
  return page;
}

const pane = (page: Page, name: "Driven" | "Followed") =>
  page.getByRole("article", { name });
const textOf = (page: Page, name: "Driven" | "Followed") =>
  page.getByRole("region", { name: `Text: ${name}` });

const lengthOf = async (text: Locator) => (await text.innerText()).length;

async function bothGrow(page: Page): Promise<void> {
  for (const text of [textOf(page, "Driven"), textOf(page, "Followed")]) {
    const before = await lengthOf(text);
    await expect
      .poll(() => lengthOf(text), PATIENCE)
      .toBeGreaterThan(before + 50);
  }
}

async function endTheSame(page: Page): Promise<string> {
  for (const name of ["Driven", "Followed"] as const) {
    await expect
      .poll(() => pane(page, name).getAttribute("data-status"), PATIENCE)
      .toBe("done");
  }
  const driven = await textOf(page, "Driven").innerText();
  await expect
    .poll(() => textOf(page, "Followed").innerText(), PATIENCE)
    .toBe(driven);
  return driven;
}

test("both panes grow and end with the same text, even if the connection is cut, and after a reload", async () => {
  const page = await start(50);
  await bothGrow(page);
  await page.getByRole("button", { name: "Cut the connection" }).click();
  await bothGrow(page);
  await page.getByRole("button", { name: "Reload" }).click();
  await bothGrow(page);
  await setup.demo.pace(5000);
  const text = await endTheSame(page);
  expect(text.length).toBeGreaterThan(5000);
});

test("ten followers all get the whole text", async () => {
  const page = await start(50);
  await page.getByRole("button", { name: "Open ten followers" }).click();
  const followers = page.getByRole("list", { name: "Ten followers" });
  const characters = followers.locator("[data-characters]");
  await expect.poll(() => characters.count(), PATIENCE).toBe(10);
  await bothGrow(page);
  await setup.demo.pace(2000);
  await endTheSame(page);
  const all = await pane(page, "Driven")
    .locator("dl div", { hasText: "Characters" })
    .locator("dd")
    .innerText();
  await expect
    .poll(() => characters.allInnerTexts(), PATIENCE)
    .toEqual(Array(10).fill(all));
});

test("a reload keeps the followers; leaving gives the model its own speed back", async () => {
  const page = await start(70);
  const readPace = async () => {
    const answer = await fetch(new URL("/pace", setup.demo.model.baseURL));
    return (await answer.json()) as unknown;
  };
  await page.getByRole("button", { name: "Open ten followers" }).click();
  await page.getByRole("slider", { name: "The model's speed" }).press("Home");
  await expect.poll(readPace, PATIENCE).toEqual({ tokensPerSecond: 10 });
  await page.reload();
  const rows = page.getByRole("list", { name: "Ten followers" });
  await expect.poll(() => rows.getByRole("listitem").count()).toBe(10);
  await expect.poll(readPace, PATIENCE).toEqual({ tokensPerSecond: 10 });
  await page.getByRole("link", { name: "Back to the chat" }).click();
  await expect.poll(readPace, PATIENCE).toEqual({ tokensPerSecond: 70 });
});

test("Stop shows at once in both panes, and the focus stays where it was", async () => {
  const page = await start(50);
  const focus = () =>
    page.evaluate(() => document.activeElement?.textContent?.trim());
  expect(await focus()).toBe("Start a reply");
  await bothGrow(page);
  await page.getByRole("button", { name: "Stop" }).click();
  for (const name of ["Driven", "Followed"] as const) {
    await expect
      .poll(() => pane(page, name).getAttribute("data-status"), PATIENCE)
      .toBe("aborted");
  }
  expect(await focus()).toBe("Stop");
});
