/** The chat, as its users see it. */
import { expect, test } from "vitest";
import { launchBrowserWithTabs } from "./chromium.js";
import { Chat } from "./chatPage.js";
import { useDemo } from "./useDemo.js";

const LONG = "Tell me a long story";
const SHORT = "hello";
/** The long story takes half a minute at this pace: time for a busy machine. */
const SLOW = 40;

const setup = useDemo();

/** A conversation whose reply is being written, slowly enough to do something meanwhile. */
async function inMidStream(opening = setup.open()) {
  const chat = await opening;
  await setup.demo.pace(SLOW);
  await chat.send(LONG);
  await chat.grows();
  return chat;
}

/** The reply is the same after a reload. */
async function isSaved(chat: Chat): Promise<void> {
  const text = await chat.text();
  await chat.page.reload();
  await expect.poll(() => chat.text()).toBe(text);
}

test("a backend that stops and starts again: the page says so, and recovers", async () => {
  const chat = await inMidStream();
  const { deployment } = setup.demo;
  const banner = chat.page.getByText("Connection lost.");

  await deployment.down();
  await banner.waitFor();
  const before = await chat.text();
  await deployment.up();
  await banner.waitFor({ state: "detached" });

  // The writer died with the backend, and its saved text is still there.
  expect((await chat.text()).slice(0, 50)).toBe(before.slice(0, 50));
  await expect
    .poll(() => chat.text())
    .toMatch(/Nothing has arrived for a while/);
  await chat.button("Retry").click();
  await chat.grows();
  await setup.finish(chat);
  await chat.send(SHORT);
  await chat.becomes("done");
});

test("a hidden tab, where no frame is painted, has the whole reply", async () => {
  const { context, close } = await launchBrowserWithTabs();
  try {
    const opening = Chat.open(await context.newPage(), setup.demo.url);
    const chat = await inMidStream(opening);
    const inFront = await context.newPage();
    await inFront.bringToFront();
    await expect
      .poll(() => chat.page.evaluate(() => document.visibilityState))
      .toBe("hidden");
    await chat.page.evaluate(() => {
      requestAnimationFrame(() => (document.title = "A frame was painted"));
    });

    await chat.grows();
    await setup.finish(chat);
    expect(await chat.page.title()).not.toBe("A frame was painted");
    await chat.page.bringToFront();
    await isSaved(chat);
  } finally {
    await close();
  }
});

test("Stop takes about a second at most, and all visible text stays", async () => {
  const chat = await inMidStream();
  const secondWindow = await chat.page.context().newPage();
  const follower = await Chat.open(secondWindow, chat.page.url());
  await follower.grows();
  const { model } = setup.demo;
  expect(model.writing()).toBe(1);

  const before = await chat.text();
  const clickedAt = performance.now();
  await chat.button("Stop").click();
  await chat.becomes("aborted");
  await expect.poll(() => model.writing()).toBe(0);
  // On an idle machine it takes a tenth of this.
  expect(performance.now() - clickedAt).toBeLessThan(5000);

  await follower.becomes("aborted");
  const text = await chat.text();
  await expect.poll(() => follower.text()).toBe(text);
  expect(text.length).toBeGreaterThan(before.length);
  await isSaved(chat);
});

test("a model that fails half way: its text stays, Retry asks again, and the old reply is one step back", async () => {
  const chat = await setup.open();
  await chat.send("Bake bread, but fail half way");
  await chat.becomes("error");
  const text = await chat.text();
  expect(text).toMatch(/bread/i);
  expect(text).toMatch(/Failed · The reply broke off/);

  const asked = setup.demo.model.asked();
  await chat.button("Retry").click();
  await expect.poll(() => setup.demo.model.asked()).toBe(asked + 1);
  await chat.becomes("error");
  expect(await chat.replies.count()).toBe(1);

  // The replaced reply is one step back, even after a reload.
  await chat.page.reload();
  await chat.button("Previous reply").click();
  await expect.poll(() => chat.text()).toMatch(/bread.*1\/2/s);
  await chat.button("Next reply").click();
  await expect.poll(() => chat.text()).toMatch(/bread.*2\/2/s);
});

test("a double click on the trash deletes nothing; two clicks do, and the focus stays on the page", async () => {
  const chat = await setup.open();
  await chat.send(SHORT);
  await chat.becomes("done");
  const trash = chat.reply.getByRole("button", { name: /Delete/ });
  await trash.dblclick();
  await trash.getByText("Delete?").waitFor();
  expect(await chat.replies.count()).toBe(1);
  await trash.click();
  await expect.poll(() => chat.replies.count()).toBe(0);
  expect(await chat.page.evaluate(() => document.activeElement?.tagName)).toBe(
    "TEXTAREA",
  );
});

test("with the keyboard alone: Enter sends, Shift+Enter makes a new line, Escape stops, the focus stays in the box", async () => {
  const chat = await setup.open();
  await setup.demo.pace(SLOW);
  const { keyboard } = chat.page;
  const boxHasFocus = () =>
    chat.box.evaluate((box) => box === document.activeElement);
  await expect.poll(boxHasFocus).toBe(true);

  await keyboard.type("Tell me");
  await keyboard.press("Shift+Enter");
  await keyboard.type("a long story");
  expect(await chat.box.inputValue()).toBe("Tell me\na long story");
  await keyboard.press("Enter");
  await chat.grows();
  await expect.poll(() => chat.box.inputValue()).toBe("");
  expect(await boxHasFocus()).toBe(true);

  await keyboard.press("Escape");
  await chat.becomes("aborted");
  expect(await boxHasFocus()).toBe(true);
  await keyboard.type(SHORT);
  await keyboard.press("Enter");
  await expect.poll(() => chat.replies.count()).toBe(2);
  await chat.becomes("done");
});
