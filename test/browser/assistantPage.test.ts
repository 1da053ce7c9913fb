/** The assistant: useChat on a stream that is saved, and all that may happen to it. */
import { afterEach, describe, expect, test } from "vitest";
import { AssistantChat, type Phase } from "./assistantPage.js";
import { PATIENCE } from "./chatPage.js";
import { useDemo } from "./useDemo.js";

/** Two requests to the model: before the tool is called, and after. */
const QUESTION = "When is high water in Saint-Malo?";
const SHORT = "hello";
/** So slow that nothing changes until the pace does. */
const HELD = 0.01;
const FAST = 5000;

const setup = useDemo();

afterEach(() => {
  delete process.env.TIDE_TABLE_MS;
});

/** How long the tool takes from now on (ms). */
function toolTakes(ms: number): void {
  process.env.TIDE_TABLE_MS = String(ms);
}

const newChat = async () =>
  AssistantChat.open(await setup.newPage(), `${setup.demo.url}/assistant`);

/** The same conversation in another window of the same user. */
const secondWindow = async (chat: AssistantChat) =>
  AssistantChat.open(await chat.page.context().newPage(), chat.page.url());

/** Asks the question, and holds the reply in a phase of it. */
async function ask(
  chat: AssistantChat,
  phase: Exclude<Phase, "nothing" | "answered">,
): Promise<void> {
  const { demo } = setup;
  // The reply is held when its first characters are seen, before its last are written.
  toolTakes(phase === "calling" ? 4000 : 100);
  await demo.pace(phase === "reasoning" ? 20 : 100);
  await chat.send(QUESTION);
  await chat.reaches(phase);
  await demo.pace(HELD);
}

async function finish(...chats: AssistantChat[]): Promise<void> {
  await setup.demo.pace(FAST);
  for (const chat of chats) await chat.becomes("done");
}

/** Waits until all windows say the same, and returns it. */
async function sameContent(...chats: AssistantChat[]): Promise<string> {
  await expect
    .poll(async () => {
      const contents = await Promise.all(chats.map((chat) => chat.content()));
      return new Set(contents).size;
    }, PATIENCE)
    .toBe(1);
  return await chats[0]!.content();
}

/** The whole reply to the question: nothing is missing, and nothing is there twice. */
const WHOLE =
  /^The question is about the tides at Saint-Malo\..* answer with its figures\.\nTide table · Saint-MaloAnswered.*high\d\d:\d\d.*\nThe water at Saint-Malo is highest at .*Why the sea rises twice a day.*without anybody noticing\.$/s;

/** That the reply is whole, here and when it is read again; and that the model wrote it once. */
async function isWhole(chat: AssistantChat, askedBefore: number) {
  const content = await chat.content();
  expect(content).toMatch(WHOLE);
  expect(content.match(/The question is about/g)).toHaveLength(1);
  expect(content.match(/The water at/g)).toHaveLength(1);
  await chat.page.reload();
  await chat.becomes("done");
  await expect.poll(() => chat.content(), PATIENCE).toBe(content);
  expect(setup.demo.model.asked()).toBe(askedBefore + 2);
}

test("a reply is reasoning, a tool call, its result and text, one after the other", async () => {
  const chat = await newChat();
  const asked = setup.demo.model.asked();
  toolTakes(500);
  await setup.demo.pace(60);
  await chat.send(QUESTION);
  await chat.reaches("reasoning");
  const thoughts = chat.reply.locator("details");
  expect(await thoughts.getAttribute("open")).not.toBeNull();
  await chat.reaches("calling");
  await chat.reply.getByText("Looking it up…").waitFor();
  await chat.reaches("text");
  expect(await thoughts.getAttribute("open")).toBeNull();
  await finish(chat);
  await thoughts.locator("summary").click();
  await chat.reply.getByText("There is a tool for that").waitFor();
  await isWhole(chat, asked);
});

describe("a reload", () => {
  test.each(["reasoning", "calling", "text"] as const)(
    "in mid-%s: the reply continues",
    async (phase) => {
      const chat = await newChat();
      const asked = setup.demo.model.asked();
      await ask(chat, phase);
      const before = await chat.content();
      await chat.page.reload();
      // Where it was. Only the tool does not wait.
      if (phase !== "calling") {
        await chat.reaches(phase);
        await expect
          .poll(async () => (await chat.content()).length, PATIENCE)
          .toBeGreaterThanOrEqual(before.length);
        expect(await chat.status()).toBe("streaming");
      }
      await finish(chat);
      await isWhole(chat, asked);
    },
  );
});

describe("two windows", () => {
  test("show the same replies live, no matter which of them sends", async () => {
    const first = await newChat();
    await ask(first, "text");
    const second = await secondWindow(first);
    await second.reaches("text");
    expect(await second.status()).toBe("streaming");
    await finish(first, second);
    expect(await sameContent(first, second)).toMatch(WHOLE);

    // Both were open before this turn, and each starts one.
    for (const [sender, follower] of [
      [first, second],
      [second, first],
    ] as const) {
      const count = await follower.replies.count();
      await ask(sender, "reasoning");
      await expect
        .poll(() => follower.replies.count(), PATIENCE)
        .toBe(count + 1);
      await follower.reaches("reasoning");
      expect(await follower.status()).toBe("streaming");
      await finish(sender, follower);
      expect(await sameContent(sender, follower)).toMatch(WHOLE);
    }
    expect(await first.replies.count()).toBe(3);
  });
});

describe("Stop", () => {
  test("during a tool call leaves the call unfinished, and the next turn works", async () => {
    const chat = await newChat();
    await ask(chat, "calling");
    toolTakes(100);
    await chat.page.keyboard.press("Escape");
    await chat.becomes("aborted");
    await chat.reply.getByText("Not finished").waitFor();
    await chat.send(QUESTION);
    await expect.poll(() => chat.replies.count(), PATIENCE).toBe(2);
    await finish(chat);
    expect(await chat.content()).toMatch(WHOLE);
  });
});

describe("a turn after one that was stopped", () => {
  test("is read once that one has been read to its end, and keeps its text", async () => {
    const chat = await newChat();
    // The page gets nothing of the first reply until all of it is available.
    let release = () => {};
    const held = new Promise<void>((resolve) => (release = resolve));
    let isFirst = true;
    await chat.page.route("**/assistant", async (route) => {
      if (route.request().method() !== "POST" || !isFirst) {
        return await route.continue();
      }
      isFirst = false;
      const response = await route.fetch();
      await held;
      await route.fulfill({ response });
    });
    toolTakes(60_000);
    await setup.demo.pace(FAST);
    const asked = setup.demo.model.asked();
    await chat.send(QUESTION);
    await expect.poll(() => setup.demo.model.asked(), PATIENCE).toBe(asked + 1);
    await expect.poll(() => setup.demo.model.writing(), PATIENCE).toBe(0);
    await chat.stopButton.click();
    await chat.becomes("aborted");

    await chat.send("Bake bread, but fail half way");
    await expect.poll(() => chat.replies.count(), PATIENCE).toBe(2);
    const first = chat.replies.first();
    expect(await first.locator("section").count()).toBe(0);
    release();
    await first.getByText("Not finished").waitFor();
    const error = chat.reply.getByText("broke off half way, as it was asked");
    await error.waitFor();
    // By then, the first reading has nothing more to report.
    await chat.page.waitForTimeout(300);
    expect(await error.isVisible()).toBe(true);
    expect(await chat.status()).toBe("error");
  });
});

describe("connections", () => {
  test("that are cut again and again: the reply continues, and useChat does not notice", async () => {
    const chat = await newChat();
    const asked = setup.demo.model.asked();
    const { faults } = setup.demo.deployment;
    await ask(chat, "reasoning");
    faults.cutConnections();
    await setup.demo.pace(40);
    await chat.reaches("calling");
    faults.cutConnections();
    await chat.reaches("text");
    // As in a tunnel: nothing is reachable for a while.
    await chat.page.context().setOffline(true);
    faults.cutConnections();
    faults.dropSockets();
    await chat.page.getByText("Connection lost.").waitFor();
    expect(await chat.status()).toBe("streaming");
    await chat.page.context().setOffline(false);
    await finish(chat);
    await isWhole(chat, asked);
  });
});

describe("a tab that is closed", () => {
  test.each(["action", "node"] as const)(
    "right after sending: the reply is complete at the next visit, generated in mode %s",
    async (generation) => {
      const chat = await newChat();
      const asked = setup.demo.model.asked();
      toolTakes(100);
      await setup.demo.pace(FAST);
      await chat.choose(generation);
      await chat.send(QUESTION);
      await chat.page.waitForURL(/\/assistant\/./);
      const url = chat.page.url();
      const user = chat.page.context();
      await chat.page.close();
      await expect
        .poll(() => setup.demo.model.asked(), PATIENCE)
        .toBe(asked + 2);
      await expect.poll(() => setup.demo.model.writing(), PATIENCE).toBe(0);
      const again = await AssistantChat.open(await user.newPage(), url);
      await again.becomes("done");
      await isWhole(again, asked);
      expect(await again.page.getByLabel("The model runs").inputValue()).toBe(
        generation,
      );
    },
  );

  test("before it asked for the reply: the next visit asks", async () => {
    const user = await setup.newUser();
    const page = await user.newPage();
    await page.route("**/assistant", async (route) => {
      if (route.request().method() === "POST") await route.abort();
      else await route.continue();
    });
    const chat = await AssistantChat.open(page, `${setup.demo.url}/assistant`);
    const asked = setup.demo.model.asked();
    toolTakes(100);
    await chat.send(QUESTION);
    await page.waitForURL(/\/assistant\/./);
    await chat.becomes("pending");
    const url = page.url();
    await page.close();
    expect(setup.demo.model.asked()).toBe(asked);
    const again = await AssistantChat.open(await user.newPage(), url);
    await finish(again);
    await isWhole(again, asked);
  });
});

describe("every failure has a message:", () => {
  test("a model that refuses, and one that fails half way", async () => {
    const chat = await newChat();
    await chat.send("Please refuse");
    await chat.becomes("error");
    expect(await chat.text()).toMatch(/The model refused to answer/);
    await chat.page.reload();
    await chat.becomes("error");
    await expect
      .poll(() => chat.text(), PATIENCE)
      .toMatch(/It was asked to refuse/);

    await chat.send("Bake bread, but fail half way");
    await expect.poll(() => chat.replies.count(), PATIENCE).toBe(2);
    await chat.becomes("error");
    await expect
      .poll(() => chat.text(), PATIENCE)
      .toMatch(/A plain loaf.*broke off half way/s);
    // The history, with its unfinished reply, is valid for the next turn.
    await chat.send(SHORT);
    await expect.poll(() => chat.replies.count(), PATIENCE).toBe(3);
    await finish(chat);
  });

  test("Retry answers again in every window and keeps the old reply; Delete removes the turn", async () => {
    const chat = await newChat();
    await chat.send("Bake bread, but fail half way");
    await chat.becomes("error");
    const second = await secondWindow(chat);
    await second.becomes("error");
    const asked = setup.demo.model.asked();
    for (const n of [1, 2]) {
      await chat.reply.getByRole("button", { name: "Retry" }).click();
      await expect
        .poll(() => setup.demo.model.asked(), PATIENCE)
        .toBe(asked + n);
      await chat.becomes("error");
      for (const window of [chat, second]) {
        await expect
          .poll(() => window.text(), PATIENCE)
          .toMatch(new RegExp(`A plain loaf.*${n + 1}/${n + 1}`, "s"));
      }
    }
    await chat.reply.getByRole("button", { name: "Previous reply" }).click();
    await expect
      .poll(() => chat.text(), PATIENCE)
      .toMatch(/A plain loaf.*2\/3/s);
    const trash = chat.reply.getByRole("button", { name: /Delete/ });
    await trash.click();
    await trash.click();
    for (const window of [chat, second]) {
      await expect.poll(() => window.replies.count(), PATIENCE).toBe(0);
    }
  });
});
