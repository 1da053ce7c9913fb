/** A page that shows replies with one of several hooks, and has other things to do beside them. */
import { ConvexProvider, ConvexReactClient } from "convex/react";
import { makeFunctionReference } from "convex/server";
import { useStream as usePublished } from "persistent-text-streaming-published/react";
import {
  memo,
  startTransition,
  useDeferredValue,
  useEffect,
  useLayoutEffect,
  useMemo,
  useState,
} from "react";
import { createRoot } from "react-dom/client";
import { useStream, useStreamLines } from "../../src/react/index.js";
import type { TargetName } from "../targets.js";

const body = makeFunctionReference<"query">("streams:body");
const page = makeFunctionReference<"query">("streams:page");

type Hook = (url: URL, id: string) => { text: string };
const hooks: Partial<Record<TargetName, Hook>> = {
  ours: (url, id) =>
    useStream(page, url, true, id, { incremental: true as never }),
  dropIn: (url, id) => useStream(body, url, true, id),
  published: (url, id) => usePublished(body as never, url, true, id as never),
  /** What an app writes that wants nothing but the text. */
  loop: (url, id) => {
    const [text, setText] = useState("");
    useEffect(() => {
      void (async () => {
        const body = JSON.stringify({ streamId: id });
        const response = await fetch(url, { method: "POST", body });
        const pieces = response.body!.pipeThrough(new TextDecoderStream());
        for await (const piece of pieces as unknown as AsyncIterable<string>) {
          setText((before) => before + piece);
        }
      })();
    }, [url, id]);
    return { text };
  },
  lines: (url, id) => {
    const body = useStream(page, url, true, id, { incremental: true as never });
    useStreamLines(body, (line) => line);
    return body;
  },
};

export type How = "transition" | "deferred value";
interface Reply {
  hook: TargetName;
  id: string;
  /** The HTTP action's. */
  url: string;
  /** Shows how long the text is, not the text. */
  lengthOnly?: boolean;
}

interface Bench {
  connect(deployment: string): void;
  /** Shows a reply, a button and other components, below those that are there. */
  show(reply: Reply | null): void;
  /** Resolves when that much of the newest reply is shown (UTF-16 code units). */
  reached(length: number): Promise<void>;
  /** How often replies were rendered. */
  renders: number;
  /** Makes each rendering of a reply take so long (ms). */
  slowDown(time: number): void;
  /** How long (ms) each click on the button took until it was rendered. */
  clicks: number[];
  /** Renders 300 ms of other components. Resolves with how long (ms) that took. */
  update(how: How): Promise<number>;
}

declare global {
  var bench: Bench;
}

let slowness = 0;
const spend = (time: number) => {
  const start = performance.now();
  while (performance.now() - start < time);
};

let newest: Reply | null;
let length = 0;
let onLength = () => {};

function Message({ reply }: { reply: Reply }) {
  // The published hook starts anew with each new URL object.
  const url = useMemo(() => new URL(reply.url), [reply.url]);
  const { text } = hooks[reply.hook]!(url, reply.id);
  spend(slowness);
  useLayoutEffect(() => {
    bench.renders++;
    if (reply === newest) length = text.length;
    onLength();
  });
  return <p>{reply.lengthOnly ? text.length : text}</p>;
}

const Item = memo(function Item({ value }: { value: number }) {
  spend(value > 0 ? 5 : 0);
  return <i>{value}</i>;
});

let update: (how: How) => void;
let onUpdated = () => {};

function Others() {
  const [value, setValue] = useState(0);
  const [fast, setFast] = useState(0);
  const deferred = useDeferredValue(fast);
  update = (how) =>
    how === "deferred value"
      ? setFast((n) => n + 1)
      : startTransition(() => setValue((n) => n + 1));
  useEffect(() => onUpdated(), [value, deferred]);
  const items = useMemo(
    () =>
      Array.from({ length: 60 }, (_, i) => (
        <Item key={i} value={value + deferred} />
      )),
    [value, deferred],
  );
  return <>{items}</>;
}

function Button() {
  const [clickedAt, setClickedAt] = useState<number | null>(null);
  useLayoutEffect(() => {
    if (clickedAt === null) return;
    bench.clicks.push(performance.now() - clickedAt);
  }, [clickedAt]);
  return <button onClick={(event) => setClickedAt(event.timeStamp)}>…</button>;
}

let client: ConvexReactClient;

globalThis.bench = {
  renders: 0,
  clicks: [],
  connect: (deployment) => void (client = new ConvexReactClient(deployment)),
  slowDown: (time) => void (slowness = time),
  show(reply) {
    newest = reply;
    length = 0;
    const place = document.body.appendChild(document.createElement("div"));
    createRoot(place).render(
      <ConvexProvider client={client}>
        <Button />
        {reply && <Message reply={reply} />}
        <Others />
      </ConvexProvider>,
    );
  },
  reached: (wanted) =>
    new Promise((resolve) => {
      onLength = () => length >= wanted && resolve();
      onLength();
    }),
  update: (how) =>
    new Promise((resolve) => {
      const start = performance.now();
      onUpdated = () => resolve(performance.now() - start);
      update(how);
    }),
};
