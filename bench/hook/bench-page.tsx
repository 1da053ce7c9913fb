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
  type ReactNode,
} from "react";
import { createRoot } from "react-dom/client";
import { useStream, useStreamLines } from "../../src/react/index.js";

const body = makeFunctionReference<"query">("streams:body");
const page = makeFunctionReference<"query">("streams:page");

const hooks = {
  ours: (url: URL, id: string) =>
    useStream(page, url, true, id, { incremental: true as never }),
  dropIn: (url: URL, id: string) => useStream(body, url, true, id),
  published: (url: URL, id: string) =>
    usePublished(body as never, url, true, id as never),
  /** What an app writes that wants nothing but the text. */
  loop: (url: URL, id: string) => {
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
    return { text, status: "streaming" };
  },
  lines: (url: URL, id: string) => {
    const body = hooks.ours(url, id);
    useStreamLines(body, (line) => line);
    return body;
  },
};

export type HookName = keyof typeof hooks;
export type How = "transition" | "deferred value";
/** `url` is the HTTP action's. */
export type Reply = { hook: HookName; id: string; url: string };

export interface Bench {
  connect(deployment: string): void;
  /** Shows a reply below those that are there. Resolves with how often it was rendered, when it is complete. */
  complete(reply: Reply, characters: number): Promise<number>;
  /** Shows the length of a reply, a button and other components. */
  showBeside(reply: Reply | null): void;
  /** Resolves when that much of the reply is shown (UTF-16 code units). */
  reached(length: number): Promise<void>;
  /** Makes each rendering of the reply take so long (ms). */
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

interface MessageProps {
  reply: Reply;
  onRender: (body: { text: string; status: string }) => void;
  lengthOnly?: boolean;
}

function Message({ reply, onRender, lengthOnly = false }: MessageProps) {
  // The published hook starts anew with each new URL object.
  const url = useMemo(() => new URL(reply.url), [reply.url]);
  const useHook = hooks[reply.hook];
  const body = useHook(url, reply.id);
  spend(slowness);
  useLayoutEffect(() => onRender(body));
  return <p>{lengthOnly ? body.text.length : body.text}</p>;
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
let length = 0;
let onLength = () => {};

function render(children: ReactNode): void {
  const place = document.body.appendChild(document.createElement("div"));
  createRoot(place).render(
    <ConvexProvider client={client}>{children}</ConvexProvider>,
  );
}

globalThis.bench = {
  clicks: [],
  connect: (deployment) => void (client = new ConvexReactClient(deployment)),
  slowDown: (time) => void (slowness = time),
  complete(reply, characters) {
    let renders = 0;
    return new Promise((resolve) => {
      const onRender: MessageProps["onRender"] = ({ text, status }) => {
        renders++;
        if (status === "done" && text.length === characters) {
          // Later renders count, too.
          setTimeout(() => resolve(renders), 300);
        }
      };
      render(<Message reply={reply} onRender={onRender} />);
    });
  },
  showBeside(reply) {
    const onRender: MessageProps["onRender"] = ({ text }) => {
      length = text.length;
      onLength();
    };
    render(
      <>
        <Button />
        {reply && <Message reply={reply} onRender={onRender} lengthOnly />}
        <Others />
      </>,
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
