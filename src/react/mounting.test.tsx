/** How the hook meets React, in each version that is supported: see vitest.config.ts. */
import { cleanup, render, waitFor } from "@testing-library/react";
import { ConvexProvider, type ConvexReactClient } from "convex/react";
import * as React from "react";
import {
  memo,
  StrictMode,
  startTransition,
  useDeferredValue,
  useEffect,
  useState,
} from "react";
import { createRoot, type Root } from "react-dom/client";
import { renderToString } from "react-dom/server";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { chat, newClient, writeUrl } from "../../test/support/hook.js";
import { collectLog } from "../../test/support/page.js";
import { story } from "../../test/support/story.js";
import type { StreamState } from "../shared.js";
import {
  useStream,
  useStreamBody,
  useStreamLines,
  type UseStreamOptions,
} from "./index.js";

let client: ConvexReactClient;
let streamId: string;
let logged: string[];
let root: Root | undefined;
beforeEach(async () => {
  client = newClient();
  streamId = await client.mutation(chat.create, {});
  logged = collectLog();
});
afterEach(async () => {
  cleanup();
  root?.unmount();
  root = undefined;
  vi.unstubAllGlobals();
  vi.restoreAllMocks();
  await client.close();
});

function Reply(props: {
  options?: UseStreamOptions<typeof chat.body>;
  seen?: unknown[];
}) {
  const url = writeUrl({ sentences: 3 });
  const body = useStream(chat.body, url, "auto", streamId, props.options);
  const follower = useStreamBody(chat.body, streamId);
  props.seen?.push([body.status, body.text, follower.text]);
  return <p data-loading={body.isLoading}>{body.text}</p>;
}

/** Shows something as an app does, whose updates React may render in slices. */
function showSliced(app: React.ReactNode) {
  vi.stubGlobal("IS_REACT_ACT_ENVIRONMENT", false);
  const place = document.createElement("div");
  root = createRoot(place);
  root.render(app);
  return place;
}

const page = (reply: React.ReactNode) => (
  <StrictMode>
    <ConvexProvider client={client}>{reply}</ConvexProvider>
  </StrictMode>
);

const drive = async () => {
  const body = JSON.stringify({ streamId });
  await (
    await fetch(writeUrl({ sentences: 3 }), { method: "POST", body })
  ).text();
};

test.each(["with", "without"])(
  "hydrates without a warning, %s `initial`, where the client has the text already",
  async (initially) => {
    await drive();
    const body = await client.query(chat.body, { streamId });
    const initial = initially === "with" ? body : undefined;
    const app = page(<Reply options={{ initial }} />);
    const place = document.createElement("div");
    place.innerHTML = renderToString(app);
    expect(place.textContent).toBe(initial ? story(3) : "");
    // On a server there is no window; here, React 18 warns of layout effects.
    logged.length = 0;
    const saved = client.watchQuery(chat.body, { streamId });
    const stop = saved.onUpdate(() => {});
    await waitFor(() => expect(saved.localQueryResult()).toBeDefined());
    const { unmount } = render(app, { container: place, hydrate: true });
    await waitFor(() => expect(place.textContent).toBe(story(3)));
    expect(logged).toEqual([]);
    unmount();
    stop();
  },
);

// React 18 has none.
const Activity = (React as Partial<typeof React>).Activity!;
test.skipIf(!Activity)(
  "an <Activity> that was hidden for long shows what it had",
  async () => {
    const seen: string[][] = [];
    const app = (mode: "visible" | "hidden") =>
      page(
        <Activity mode={mode}>
          <Reply seen={seen} />
        </Activity>,
      );
    const view = render(app("visible"));
    await waitFor(() => expect(view.container.textContent).toBe(story(3)));
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
    view.rerender(app("hidden"));
    vi.advanceTimersByTime(6000);
    vi.useRealTimers();
    const before = seen.length;
    view.rerender(app("visible"));
    await waitFor(() => expect(seen.length).toBeGreaterThan(before));
    for (const [, text] of seen.slice(before)) expect(text).toBe(story(3));
    const all = await client.query(chat.requests, { streamId });
    expect(all).toHaveLength(1);
  },
);

function Plain() {
  const { text, status } = useStream(
    chat.body,
    writeUrl({ sentences: 20, delay: 2 }),
    true,
    streamId,
  );
  return <p data-status={status}>{text}</p>;
}

test("a component shows all the text, compiled by React Compiler too", async () => {
  const isCompiled = /\b_?c\d*\(\d+\)|MEMO_CACHE/i.test(Plain.toString());
  expect(isCompiled).toBe(React.version.startsWith("19"));
  const view = render(page(<Plain />));
  await waitFor(() => expect(view.container.textContent).toBe(story(20)));
  const { firstElementChild } = view.container;
  await waitFor(() =>
    expect(firstElementChild?.getAttribute("data-status")).toBe("done"),
  );
});

/** Takes so long (ms) that React renders a transition in slices. */
function spend(time: number) {
  const end = performance.now() + time;
  while (performance.now() < end);
}

test("50 readers show the same in every frame, those that a transition mounts too", async () => {
  const url = writeUrl({ sentences: 60, delay: 4 });
  let mountMore = () => {};
  function One() {
    const { text } = useStream(chat.body, url, true, streamId);
    spend(3);
    return <p>{text.length}</p>;
  }
  function All() {
    const [count, setCount] = useState(25);
    useEffect(() => {
      mountMore = () => startTransition(() => setCount(50));
    }, []);
    return Array.from({ length: count }, (_, i) => <One key={i} />);
  }
  const place = showSliced(
    <ConvexProvider client={client}>
      <All />
    </ConvexProvider>,
  );
  const frames: Set<string | null>[] = [];
  const note = () => {
    const shown = [...place.querySelectorAll("p")];
    frames.push(new Set(shown.map((one) => one.textContent)));
    if (frames.length === 20) mountMore();
    if (shown[0]?.textContent !== String(story(60).length)) {
      requestAnimationFrame(note);
    }
  };
  requestAnimationFrame(note);
  await waitFor(
    () => expect(place.textContent).toBe(`${story(60).length}`.repeat(50)),
    { timeout: 20_000 },
  );
  expect(frames.filter((shown) => shown.size > 1)).toEqual([]);
});

test("deferred lines: each is parsed once, and every render has those of its own body", async () => {
  const all = Array.from({ length: 60 }, (_, i) => `line ${i}`);
  const parsed: string[] = [];
  const parse = (line: string) => {
    parsed.push(line);
    return line;
  };
  const renders: [text: string, lines: readonly string[]][] = [];
  let arrive = (_: StreamState) => {};
  const Line = memo(function Line({ line }: { line: string }) {
    spend(6);
    return <li>{line}</li>;
  });
  function Lines() {
    const [body, setBody] = useState<StreamState>({
      text: "",
      status: "streaming",
    });
    useEffect(() => {
      arrive = setBody;
    }, []);
    const deferred = useDeferredValue(body);
    const lines = useStreamLines(deferred, parse);
    renders.push([deferred.text, lines]);
    return lines.map((line) => <Line key={line} line={line} />);
  }
  const place = showSliced(
    <StrictMode>
      <Lines />
    </StrictMode>,
  );
  let arrived = 0;
  const next = () => {
    const text = all.slice(0, ++arrived).join("\n") + "\n";
    arrive({ text, status: "streaming" });
    if (arrived < all.length) requestAnimationFrame(next);
  };
  requestAnimationFrame(next);
  const shown = () => place.querySelectorAll("li").length;
  await waitFor(() => expect(shown()).toBe(all.length), { timeout: 20_000 });
  expect(parsed).toEqual(all);
  for (const [text, lines] of renders) {
    expect(text).toBe(lines.map((line) => `${line}\n`).join(""));
  }
});

test("a request waits for the effects of the commit in which it is wanted: they may sign the user in", async () => {
  const latest = { token: "" };
  const sent: unknown[] = [];
  const fetch = (_: string, { headers }: RequestInit) => {
    sent.push(new Headers(headers).get("Authorization"));
    return new Promise<Response>(() => {});
  };
  let update: (token: string) => void = () => {};
  function Page() {
    const [token, setToken] = useState("");
    useEffect(() => {
      update = setToken;
    }, []);
    useEffect(() => {
      latest.token = token.trim();
    });
    const isSignedIn = token.trim() !== "";
    const authToken = () => latest.token;
    useStream(chat.body, writeUrl(), isSignedIn, streamId, {
      fetch,
      authToken,
    });
    return <p>{token}</p>;
  }
  showSliced(<ConvexProvider client={client} children={<Page />} />);
  // Later updates are not rendered synchronously.
  for (const token of ["", " ", "  ", "   ", "new"]) {
    await new Promise((resolve) => setTimeout(resolve, 100));
    update(token);
  }
  await waitFor(() => expect(sent).toEqual(["Bearer new"]));
});
