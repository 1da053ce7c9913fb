import { act, renderHook, waitFor } from "@testing-library/react";
import { expect, test, vi } from "vitest";
import { advance, arrive, useSmoothText } from "./useSmoothText.js";

const start = {
  text: "",
  visible: 0,
  arrivedAt: -Infinity,
  advancedAt: -Infinity,
  interval: 500,
  due: [],
};

/** What is visible at each frame, while text arrives in steps of 20 characters. */
function play(every: number, until: number, character = "a") {
  let flow = arrive(start, character.repeat(20), 0, false);
  const frames: { now: number; visible: number; arrived: number }[] = [];
  for (let now = 16; now < until; now += 16) {
    const arrived = 20 * (1 + Math.floor(now / every)) * character.length;
    if (arrived > flow.text.length) {
      const text = character.repeat(arrived / character.length);
      flow = arrive(flow, text, now, false);
    }
    flow = advance(flow, now, true);
    frames.push({ now, visible: flow.visible, arrived });
  }
  return frames;
}

test.each([50, 200, 400, 900])(
  "steps every %i ms flow, and nothing is more than half a second late",
  (every) => {
    const frames = play(every, 5000);
    for (const [i, { now, visible }] of frames.entries()) {
      expect(visible).toBeGreaterThanOrEqual(frames[i - 1]?.visible ?? 0);
      const due = frames.filter((frame) => frame.now <= now - 516).at(-1);
      expect(visible).toBeGreaterThanOrEqual(due?.arrived ?? 0);
    }
    const jumps = frames.map(
      ({ visible }, i) => visible - (frames[i - 1]?.visible ?? 0),
    );
    expect(Math.max(...jumps.slice(60))).toBeLessThan(20);
  },
);

test("no character is cut in two", () => {
  for (const { visible } of play(300, 3000, "👩‍🚀")) {
    expect(visible % "👩‍🚀".length).toBe(0);
  }
});

test.each([
  ["the end", { isEnd: true, text: "abcdef", animate: true }],
  ["another text", { isEnd: false, text: "x", animate: true }],
  ["a hidden tab", { isEnd: false, text: "abcdef", animate: false }],
])("%s is shown whole, at once", (_, { isEnd, text, animate }) => {
  const before = { ...start, text: "abc", visible: 2 };
  const flow = advance(arrive(before, text, 0, isEnd), 1, animate);
  expect(flow.visible).toBe(text.length);
});

test("text at mount shows at once, later text flows, the end is complete", () => {
  vi.useFakeTimers();
  const seen: string[] = [];
  const view = renderHook(
    ({ text, status }: { text: string; status: "streaming" | "done" }) => {
      const [visible, { isStreaming }] = useSmoothText(text, { status });
      seen.push(visible);
      return { visible, isStreaming };
    },
    { initialProps: { text: "Hello", status: "streaming" } },
  );
  expect(seen).toEqual(["Hello"]);
  const text = `Hello${", world".repeat(20)}`;
  view.rerender({ text, status: "streaming" });
  expect(view.result.current).toEqual({ visible: "Hello", isStreaming: true });
  while (view.result.current.visible !== text) {
    act(() => void vi.advanceTimersToNextFrame());
  }
  expect(new Set(seen).size).toBeGreaterThan(3);
  view.rerender({ text: `${text}!`, status: "done" });
  expect(view.result.current).toEqual({
    visible: `${text}!`,
    isStreaming: false,
  });
  vi.useRealTimers();
});

test("the text after another one flows too, and never shrinks", async () => {
  const seen: string[] = [];
  const view = renderHook(
    ({ text }) => {
      const [visible] = useSmoothText(text);
      seen.push(visible);
      return visible;
    },
    { initialProps: { text: "A long reply, of an earlier stream." } },
  );
  view.rerender({ text: "" });
  seen.splice(0);
  const text = "Hello, world, how are you?";
  view.rerender({ text });
  await waitFor(() => expect(view.result.current).toBe(text));
  const lengths = seen.map(({ length }) => length);
  expect(lengths).toEqual([...lengths].sort((a, b) => a - b));
  expect(lengths[0]).toBe(0);
});
