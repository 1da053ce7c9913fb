/** A page with a reply, and with other things to do beside it. */
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

/** Null: no reply at all. */
export type Hook = "ours" | "published" | "loop" | "lines" | null;

export type How = "transition" | "deferred value";

export interface BusyPage {
  /** Shows a reply. Resolves when that much of it is shown (UTF-16 code units). */
  show(hook: Hook, deployment: string, url: string, id: string): void;
  reached(length: number): Promise<void>;
  /** Has each rendering of the reply take so long (ms) from now on. */
  slowDown(time: number): void;
  /** How long (ms) each click on the button took until it was rendered. */
  clicks: number[];
  /** Has 300 ms of other components rendered. Resolves with how long (ms) that took. */
  update(how: How): Promise<number>;
}

declare global {
  var busyPage: BusyPage;
}

const query = makeFunctionReference<"query">("streams:body");
const page = makeFunctionReference<"query">("streams:page");
type Props = { hook: Hook; url: URL; id: string };

const hooks = {
  ours: ({ url, id }: Props) =>
    useStream(page, url, true, id, { incremental: true as never }),
  published: ({ url, id }: Props) =>
    usePublished(query as never, url, true, id as never),
  loop: useLoop,
};

/** What an app writes that wants nothing but the text. */
function useLoop({ url, id }: Props) {
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
}

let slowness = 0;
const spend = (time: number) => {
  const start = performance.now();
  while (performance.now() - start < time);
};

let length = 0;
let onLength = () => {};

function Reply(props: Props) {
  const { text } = hooks[props.hook as keyof typeof hooks](props);
  spend(slowness);
  useLayoutEffect(() => {
    length = text.length;
    onLength();
  });
  return <p>{text.length}</p>;
}

function Lines(props: Props) {
  const body = hooks.ours(props);
  const lines = useStreamLines(body, (line) => line);
  useLayoutEffect(() => {
    length = body.text.length;
    onLength();
  });
  return <p>{lines.length}</p>;
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
    busyPage.clicks.push(performance.now() - clickedAt);
  }, [clickedAt]);
  return <button onClick={(event) => setClickedAt(event.timeStamp)}>…</button>;
}

globalThis.busyPage = {
  clicks: [],
  slowDown: (time) => void (slowness = time),
  show(hook, deployment, url, id) {
    const client = new ConvexReactClient(deployment);
    const Shown = hook === "lines" ? Lines : Reply;
    function Page() {
      const props = useMemo(() => ({ hook, url: new URL(url), id }), []);
      return hook && <Shown {...props} />;
    }
    const place = document.body.appendChild(document.createElement("div"));
    createRoot(place).render(
      <ConvexProvider client={client}>
        <Button />
        <Page />
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
