/** The chat: what its users do to it, and what they see. */
import type { Page, Request } from "playwright-core";
import { describe, expect, test } from "vitest";
import { launchBrowserWithTabs } from "./browser.js";
import { Chat, PATIENCE } from "./chatPage.js";
import { randomFrom } from "../support/random.js";
import { useDemo } from "./useDemo.js";

const LONG = "Tell me a long story";
const SHORT = "hello";
/** At which the long story takes half a minute: time for a busy machine. */
const SLOW = 40;

const setup = useDemo();

const newChat = async () => Chat.open(await setup.newPage(), setup.demo.url);

/** A conversation whose reply is being written, slowly enough to do something meanwhile. */
async function inMidStream() {
  const chat = await newChat();
  await setup.demo.pace(SLOW);
  await chat.send(LONG);
  await chat.grows();
  return chat;
}

/** The same conversation in another window of the same user. */
async function secondWindow(chat: Chat): Promise<Chat> {
  return Chat.open(await chat.page.context().newPage(), chat.page.url());
}

/** The requests to write a reply that a page makes from now on. */
function requestsOf(page: Page): Request[] {
  const requests: Request[] = [];
  page.on("request", (request) => {
    const { pathname } = new URL(request.url());
    if (request.method() === "POST" && pathname === "/chat-stream") {
      requests.push(request);
    }
  });
  return requests;
}

async function finish(...chats: Chat[]): Promise<void> {
  await setup.demo.pace(5000);
  for (const chat of chats) await chat.becomes("done");
}

/** Waits until all windows show the same text, and returns it. */
async function sameText(...chats: Chat[]): Promise<string> {
  await expect
    .poll(async () => {
      const texts = await Promise.all(chats.map((chat) => chat.text()));
      return new Set(texts).size;
    }, PATIENCE)
    .toBe(1);
  return await chats[0]!.text();
}

describe("one user, several windows", () => {
  test("a follower sees what the driver sees, during the reply and at its end", async () => {
    const driver = await inMidStream();
    const follower = await secondWindow(driver);
    await follower.grows();
    await driver.grows();
    await finish(driver, follower);
    await sameText(driver, follower);
  });

  test("a page that is reloaded at random moments continues where it was", async () => {
    const random = randomFrom(1);
    const chat = await inMidStream();
    const asked = setup.demo.model.asked();
    for (let i = 0; i < 3; i++) {
      await chat.grows(Math.floor(random() * 200));
      await chat.page.reload();
    }
    await chat.grows(1);
    await finish(chat);
    const text = await chat.text();
    await chat.page.reload();
    await chat.becomes("done");
    await expect.poll(() => chat.text(), PATIENCE).toBe(text);
    expect(setup.demo.model.asked()).toBe(asked);
  });

  test("the model is asked once, no matter which of two tabs asks first", async () => {
    const user = await setup.newUser();
    const first = await Chat.open(await user.newPage(), setup.demo.url);
    const requests: Request[] = [];
    // Both requests are held until both tabs have made one.
    let release = () => {};
    const held = new Promise<void>((resolve) => (release = resolve));
    await user.route("**/chat-stream", async (route) => {
      requests.push(route.request());
      await held;
      await route.continue();
    });
    const asked = setup.demo.model.asked();
    await first.send(LONG);
    await expect.poll(() => requests.length, PATIENCE).toBe(1);
    const second = await secondWindow(first);
    await expect.poll(() => requests.length, PATIENCE).toBe(2);
    release();
    await finish(first, second);
    await sameText(first, second);
    expect(setup.demo.model.asked()).toBe(asked + 1);
  });

  test("each message makes exactly one request, under StrictMode", async () => {
    const chat = await newChat();
    const requests = requestsOf(chat.page);
    for (const count of [1, 2]) {
      await chat.send(SHORT);
      await expect.poll(() => chat.replies.count(), PATIENCE).toBe(count);
      await chat.becomes("done");
      expect(requests).toHaveLength(count);
    }
  });
});

describe("connections", () => {
  test("offline and online again: the page says so, and the reply continues", async () => {
    const driver = await inMidStream();
    const follower = await secondWindow(driver);
    await follower.grows();
    const banner = driver.page.getByText("Connection lost.");

    await driver.page.context().setOffline(true);
    // The emulation only refuses new connections, so existing ones are cut here.
    setup.demo.deployment.faults.cutConnections();
    setup.demo.deployment.faults.dropSockets();
    await banner.waitFor();
    const before = await driver.text();

    await driver.page.context().setOffline(false);
    await banner.waitFor({ state: "detached" });
    await driver.grows();
    expect((await driver.text()).length).toBeGreaterThan(before.length);
    await finish(driver, follower);
    await sameText(driver, follower);
  });

  test("the backend stops and starts again: the page says so, and recovers", async () => {
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
      .poll(() => chat.text(), PATIENCE)
      .toMatch(/Nothing has arrived for a while/);
    await chat.reply.getByRole("button", { name: "Retry" }).click();
    await chat.grows();
    await finish(chat);
    await chat.send(SHORT);
    await expect.poll(() => chat.replies.count(), PATIENCE).toBe(2);
    await chat.becomes("done");
  });

  test("a hidden tab, where no frame is painted, has the whole reply", async () => {
    const { context, close } = await launchBrowserWithTabs();
    try {
      const chat = await Chat.open(await context.newPage(), setup.demo.url);
      await setup.demo.pace(SLOW);
      await chat.send(LONG);
      await chat.grows();
      const inFront = await context.newPage();
      await inFront.bringToFront();
      await expect
        .poll(() => chat.page.evaluate(() => document.visibilityState))
        .toBe("hidden");
      await chat.page.evaluate(() => {
        requestAnimationFrame(() => (document.title = "A frame was painted"));
      });

      await chat.grows();
      await finish(chat);
      expect(await chat.page.title()).not.toBe("A frame was painted");
      const text = await chat.text();

      await chat.page.bringToFront();
      await chat.page.reload();
      await chat.becomes("done");
      await expect.poll(() => chat.text(), PATIENCE).toBe(text);
    } finally {
      await close();
    }
  });
});

describe("Stop", () => {
  test("takes about a second at most, and all visible text stays", async () => {
    const chat = await inMidStream();
    const follower = await secondWindow(chat);
    await follower.grows();
    const { model } = setup.demo;
    expect(model.writing()).toBe(1);

    const before = await chat.text();
    const clickedAt = performance.now();
    await chat.stopButton.click();
    await chat.becomes("aborted");
    const stoppedAfter = performance.now() - clickedAt;
    await expect.poll(() => model.writing(), PATIENCE).toBe(0);
    const silentAfter = performance.now() - clickedAt;
    console.log(
      `Stop: shown after ${stoppedAfter.toFixed(0)} ms, the model's writing ended after ${silentAfter.toFixed(0)} ms`,
    );
    // On an idle machine it takes a tenth of this.
    expect(stoppedAfter).toBeLessThan(5000);
    expect(silentAfter).toBeLessThan(5000);

    await follower.becomes("aborted");
    const text = await sameText(chat, follower);
    expect(text.length).toBeGreaterThan(before.length);
    await chat.page.reload();
    await expect.poll(() => chat.text(), PATIENCE).toBe(text);
  });
});

describe("every failure has a message and a way forward:", () => {
  test("a model that fails half way: its text stays, Retry asks again, and the old reply is one step back", async () => {
    const chat = await newChat();
    await chat.send("Bake bread, but fail half way");
    await chat.becomes("error");
    const text = await chat.text();
    expect(text).toMatch(/bread/i);
    expect(text).toMatch(/Failed · The reply broke off/);

    const asked = setup.demo.model.asked();
    await chat.reply.getByRole("button", { name: "Retry" }).click();
    await expect.poll(() => setup.demo.model.asked(), PATIENCE).toBe(asked + 1);
    await chat.becomes("error");
    expect(await chat.replies.count()).toBe(1);

    // The replaced reply is one step back, even after a reload.
    await chat.page.reload();
    await chat.reply.getByRole("button", { name: "Previous reply" }).click();
    await expect.poll(() => chat.text(), PATIENCE).toMatch(/bread.*1\/2/s);
    await chat.reply.getByRole("button", { name: "Next reply" }).click();
    await expect.poll(() => chat.text(), PATIENCE).toMatch(/bread.*2\/2/s);
  });

  test("no key: page and reply say so, and Retry works once it is set", async () => {
    setup.demo.setKey(undefined);
    const chat = await newChat();
    await chat.send(SHORT);
    await chat.becomes("done");
    expect(await chat.text()).toMatch(/OPENAI_API_KEY/);
    expect(await chat.page.getByText("No model is connected").isVisible()).toBe(
      true,
    );

    setup.demo.setKey("none-needed");
    await chat.reply.getByRole("button", { name: "Retry" }).click();
    await chat.becomes("done");
    expect(await chat.text()).not.toMatch(/OPENAI_API_KEY/);
  });

  test("a conversation that does not exist, or is someone else's", async () => {
    const chat = await newChat();
    await chat.send(SHORT);
    await chat.becomes("done");
    const stranger = await setup.newPage();
    for (const url of [`${setup.demo.url}/c/nonsense`, chat.page.url()]) {
      await stranger.goto(url);
      const alert = stranger.getByRole("alert");
      await alert.waitFor();
      expect(await alert.innerText()).toMatch(/does not exist/);
      await alert.getByRole("link").click();
      await new Chat(stranger).box.waitFor();
      expect(new URL(stranger.url()).pathname).toBe("/");
    }
  });

  test("a message over the limit stays in the box, and can be sent once it is shorter", async () => {
    const chat = await newChat();
    await chat.send("hello ".repeat(1500));
    const alert = chat.page.getByRole("alert");
    await alert.waitFor();
    expect(await alert.innerText()).toMatch(/at most 8,000/);
    expect((await chat.box.inputValue()).length).toBe(9000);
    await chat.send(SHORT);
    await chat.becomes("done");
    expect(await alert.count()).toBe(0);
  });
});

describe("a reply's page", () => {
  test("Copy and Retry keep their places when the reply ends", async () => {
    const chat = await inMidStream();
    const places = () =>
      Promise.all(
        ["Copy this reply", "Retry"].map(async (name) => {
          const box = await chat.reply
            .getByRole("button", { name })
            .boundingBox();
          return box?.x;
        }),
      );
    const before = await places();
    await chat.stopButton.click();
    await chat.becomes("aborted");
    expect(await places()).toEqual(before);
  });

  test("a double click on the trash deletes nothing; two clicks do, and the focus stays on the page", async () => {
    const chat = await newChat();
    await chat.send(SHORT);
    await chat.becomes("done");
    const trash = chat.reply.getByRole("button", { name: /Delete/ });
    await trash.dblclick();
    await trash.getByText("Delete?").waitFor();
    expect(await chat.replies.count()).toBe(1);
    await trash.click();
    await expect.poll(() => chat.replies.count(), PATIENCE).toBe(0);
    expect(
      await chat.page.evaluate(() => document.activeElement?.tagName),
    ).toBe("TEXTAREA");
  });

  test("is named after its conversation", async () => {
    const chat = await newChat();
    expect(await chat.page.title()).toMatch(/^Chat ·/);
    await chat.send(SHORT);
    await expect.poll(() => chat.page.title(), PATIENCE).toContain(SHORT);
  });

  test("shows no table's head as raw pipes", async () => {
    const chat = await newChat();
    await setup.demo.pace(100);
    const raw = await chat.page.evaluateHandle(() => {
      const seen: string[] = [];
      new MutationObserver(() => {
        for (const p of document.querySelectorAll("article p")) {
          if (p.textContent?.startsWith("|")) seen.push(p.textContent);
        }
      }).observe(document.body, {
        childList: true,
        subtree: true,
        characterData: true,
      });
      return seen;
    });
    await chat.send("Put the planets in a table");
    await chat.becomes("done");
    await chat.reply.getByRole("cell").first().waitFor();
    expect(await raw.jsonValue()).toEqual([]);
  });
});

describe("with the keyboard alone", () => {
  test("Enter sends, Shift+Enter makes a new line, Escape stops, the focus stays in the box", async () => {
    const chat = await newChat();
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
    await expect.poll(() => chat.replies.count(), PATIENCE).toBe(2);
    await chat.becomes("done");
  });

  test("Stop gives the focus back to the box", async () => {
    const chat = await inMidStream();
    await chat.stopButton.focus();
    await chat.page.keyboard.press("Enter");
    await chat.becomes("aborted");
    expect(
      await chat.box.evaluate((box) => box === document.activeElement),
    ).toBe(true);
  });
});
