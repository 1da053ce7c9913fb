/** The assistant: `useChat` on a saved stream, through reloads, cuts and failures. */
import { expect, test, vi } from "vitest";
import { isAccessible } from "./accessibility.js";
import { contentOf, reaches, type Phase } from "./assistantPage.js";
import type { Chat } from "./chatPage.js";
import { useDemo } from "./useDemo.js";

/** Two requests to the model: before the tool is called, and after. */
const QUESTION = "When is high water in Saint-Malo?";
/** So slow that nothing changes until the pace does. */
const HELD = 0.01;

const setup = useDemo();

/** How long the tool takes from now on (ms). */
const toolTakes = (ms: number) => vi.stubEnv("TIDE_TABLE_MS", String(ms));

/** Asks the question, and holds the reply in a phase of it. */
async function ask(chat: Chat, phase: Phase): Promise<void> {
  const { demo } = setup;
  // The reply is held when its first characters are seen, before its last are written.
  toolTakes(phase === "calling" ? 15_000 : 100);
  await demo.pace(phase === "reasoning" ? 20 : 100);
  await chat.send(QUESTION);
  await reaches(chat, phase);
  await demo.pace(HELD);
}

/** The whole reply to the question. */
const WHOLE =
  /^The question is about the tides at Saint-Malo\..* answer with its figures\.\nTide table · Saint-MaloAnswered.*high\d\d:\d\d.*\nThe water at Saint-Malo is highest at .*Why the sea rises twice a day.*without anybody noticing\.$/s;

/** The reply is whole, also after a reload, and the model wrote it once. */
async function isWhole(chat: Chat, askedBefore: number) {
  const content = await contentOf(chat);
  expect(content).toMatch(WHOLE);
  expect(content.match(/The question is about/g)).toHaveLength(1);
  expect(content.match(/The water at/g)).toHaveLength(1);
  await chat.page.reload();
  await chat.becomes("done");
  await expect.poll(() => contentOf(chat)).toBe(content);
  expect(setup.demo.model.asked()).toBe(askedBefore + 2);
}

test("a reply is reasoning, a tool call, its result and text, one after the other; the next one fails", async () => {
  const chat = await setup.open("/assistant");
  await isAccessible(chat.page);
  const asked = setup.demo.model.asked();
  toolTakes(500);
  await setup.demo.pace(60);
  await chat.send(QUESTION);
  await reaches(chat, "reasoning");
  const thoughts = chat.reply.locator("details");
  expect(await thoughts.getAttribute("open")).not.toBeNull();
  await reaches(chat, "calling");
  await chat.reply.getByText("Looking it up…").waitFor();
  await reaches(chat, "text");
  expect(await thoughts.getAttribute("open")).toBeNull();
  await setup.finish(chat);
  await thoughts.locator("summary").click();
  await chat.reply.getByText("There is a tool for that").waitFor();
  await isAccessible(chat.page);
  await isWhole(chat, asked);

  await chat.send("The tides in Bristol, but fail half way");
  await chat.becomes("error");
  await isAccessible(chat.page);
});

test.each(["reasoning", "calling", "text"] as const)(
  "a reload in mid-%s: the reply continues",
  async (phase) => {
    const chat = await setup.open("/assistant");
    const asked = setup.demo.model.asked();
    await ask(chat, phase);
    await isAccessible(chat.page);
    const before = await contentOf(chat);
    await chat.page.reload();
    // At the same point, unless the tool has finished in the meantime.
    if (phase !== "calling") {
      await reaches(chat, phase);
      await expect
        .poll(async () => (await contentOf(chat)).length)
        .toBeGreaterThanOrEqual(before.length);
      expect(await chat.status()).toBe("streaming");
    }
    await setup.finish(chat);
    await isWhole(chat, asked);
  },
);

test("connections that are cut again and again: the reply continues, and useChat does not notice", async () => {
  const chat = await setup.open("/assistant");
  const asked = setup.demo.model.asked();
  const { faults } = setup.demo.deployment;
  await ask(chat, "reasoning");
  toolTakes(4000);
  faults.cutConnections();
  await setup.demo.pace(40);
  await reaches(chat, "calling");
  faults.cutConnections();
  await reaches(chat, "text");
  // As in a tunnel: nothing is reachable for a while.
  await chat.page.context().setOffline(true);
  faults.cutConnections();
  faults.dropSockets();
  await chat.page.getByText("Connection lost.").waitFor();
  expect(await chat.status()).toBe("streaming");
  await chat.page.context().setOffline(false);
  await setup.finish(chat);
  await isWhole(chat, asked);
});
