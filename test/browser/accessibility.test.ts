/** The chat and the comparison; the assistant's phases are in assistantPage.test.ts. */
import { expect, test } from "vitest";
import { isAccessible } from "./accessibility.js";
import { useDemo } from "./useDemo.js";

const setup = useDemo();

test("the chat: empty, in mid-stream, finished, failed, and unknown", async () => {
  const chat = await setup.open();
  await isAccessible(chat.page);

  await setup.demo.pace(100);
  await chat.send("Write a debounce function in TypeScript");
  await chat.grows(300);
  // Slow enough that nothing changes while axe runs.
  await setup.demo.pace(0.1);
  await isAccessible(chat.page);
  expect(await chat.status()).toBe("streaming");

  await setup.finish(chat);
  await chat.send("Put the planets in a table, but fail half way");
  await chat.becomes("error");
  await isAccessible(chat.page);

  await chat.page.goto(`${setup.demo.url}/c/nonsense`);
  await chat.page.getByRole("alert").waitFor();
  await isAccessible(chat.page);
});

test("side by side: in mid-stream with ten followers, and finished", async () => {
  const { page } = await setup.open();
  await page.goto(`${setup.demo.url}/compare`);
  const followed = page.getByRole("article", { name: "Followed" });
  await setup.demo.pace(100);
  await page.getByRole("button", { name: "Start a reply" }).click();
  await page.getByRole("button", { name: "Open ten followers" }).click();
  await expect
    .poll(async () => (await followed.innerText()).length)
    .toBeGreaterThan(500);
  await setup.demo.pace(0.1);
  await isAccessible(page);
  expect(await followed.getAttribute("data-status")).toBe("streaming");

  await setup.demo.pace(5000);
  await expect.poll(() => followed.getAttribute("data-status")).toBe("done");
  await isAccessible(page);
});
