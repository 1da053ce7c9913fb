import type { StreamId } from "@convex-dev/persistent-text-streaming";
import { useStream } from "@convex-dev/persistent-text-streaming/react";
import { useMutation } from "convex/react";
import {
  ArrowLeft,
  Play,
  RotateCw,
  Scissors,
  Square,
  Users,
} from "lucide-react";
import { useEffect, useMemo, useState } from "react";
import { Link, useSearchParams } from "wouter";
import { api } from "../../convex/_generated/api";
import type { Id } from "../../convex/_generated/dataModel";
import { isLocal, siteAddress } from "../backend";
import { ConnectionBanner } from "../ConnectionBanner";
import { ErrorBoundary, messageOf } from "../errors";
import { authToken } from "../identity";
import { isLive } from "../status";
import { FollowerPane, FollowerRow } from "./Follower";
import {
  canSetPace,
  cutConnections,
  readCommitDelay,
  readCounters,
  readPace,
  resetCounters,
  setCommitDelay,
  setPace,
  type Counters,
} from "./local";
import { meteredClient } from "./meter";
import { Figure, Pane } from "./Pane";
import { useUpdateCount } from "./useUpdateCount";

const FOLLOWERS = 10;
const PROMPT = "Tell me a long story";

/** The follower on the right lives as long as the page. */
const follower = meteredClient();

export default function Compare() {
  return (
    <ErrorBoundary>
      <SideBySide />
    </ErrorBoundary>
  );
}

function SideBySide() {
  // The stream is in the address, so that it is still there after a reload.
  const [search, setSearch] = useSearchParams();
  const streamId = (search.get("stream") ?? undefined) as StreamId | undefined;
  const [started, setStarted] = useState<{
    streamId: string;
    conversationId: Id<"conversations">;
  }>();
  const driven = started !== undefined && started.streamId === streamId;

  const driver = useStream(
    api.chat.getStreamBody,
    siteAddress("/chat-stream"),
    driven,
    streamId,
    { incremental: true, authToken },
  );
  const updates = useUpdateCount(driver.text);
  const bytes = useMemo(
    () => new TextEncoder().encode(driver.text).length,
    [driver.text],
  );
  const live = streamId !== undefined && isLive(driver.status);

  const sendMessage = useMutation(api.chat.sendMessage);
  const stop = useMutation(api.chat.stop);
  const [problem, setProblem] = useState<string | null>(null);
  function attempt(work: () => Promise<unknown>) {
    setProblem(null);
    work().catch((error: unknown) => setProblem(messageOf(error)));
  }

  const start = () =>
    attempt(async () => {
      if (isLocal) await resetCounters();
      const sent = await sendMessage({
        prompt: PROMPT,
        conversationId: started?.conversationId,
      });
      setStarted(sent);
      setSearch({ stream: sent.streamId }, { replace: true });
    });

  const [crowd, setCrowd] = useState<ReturnType<typeof meteredClient>[]>([]);
  function toggleCrowd() {
    if (crowd.length === 0) {
      setCrowd(Array.from({ length: FOLLOWERS }, meteredClient));
    } else {
      setCrowd([]);
      for (const { client } of crowd) void client.close();
    }
  }

  return (
    <main className="relative mx-auto flex max-w-7xl flex-col gap-4 p-4 lg:h-dvh lg:p-6">
      <ConnectionBanner />
      <header className="flex flex-wrap items-start gap-x-6 gap-y-3">
        <div className="min-w-0 flex-1 basis-80">
          <h1 className="font-serif text-2xl tracking-tight">Side by side</h1>
          <p className="max-w-[44rem] text-sm text-muted-foreground text-pretty">
            The same stream twice: on the left as the browser that asked for it
            gets it, over HTTP; on the right as every other browser does,
            through the database.
          </p>
        </div>
        <Link href="/" className="button">
          <ArrowLeft size={16} aria-hidden /> Back to the chat
        </Link>
      </header>

      <div className="flex flex-wrap items-end gap-x-6 gap-y-3">
        <div className="flex flex-wrap gap-2">
          {live ? (
            <button
              key="stop"
              type="button"
              className="button"
              onClick={() => attempt(() => stop({ streamId }))}
            >
              <Square size={14} fill="currentColor" aria-hidden /> Stop
            </button>
          ) : (
            <button
              key="start"
              type="button"
              className="button button-primary"
              onClick={start}
            >
              <Play size={15} aria-hidden /> Start a reply
            </button>
          )}
          <button
            type="button"
            className="button"
            onClick={() => window.location.reload()}
          >
            <RotateCw size={15} aria-hidden /> Reload
          </button>
          {isLocal ? (
            <button
              type="button"
              className="button"
              onClick={() => attempt(cutConnections)}
            >
              <Scissors size={15} aria-hidden /> Cut the connection
            </button>
          ) : null}
          <button
            type="button"
            className="button"
            aria-pressed={crowd.length > 0}
            onClick={toggleCrowd}
          >
            <Users size={15} aria-hidden />
            {crowd.length > 0 ? "Close the ten" : "Open ten followers"}
          </button>
        </div>
        {canSetPace ? (
          <Slider
            label="The model's speed"
            unit="tokens/s"
            values={[10, 30, 60, 120, 250, 500, 1000]}
            read={readPace}
            onChange={(pace) => attempt(() => setPace(pace))}
          />
        ) : null}
        {isLocal ? (
          <Slider
            label="A commit takes"
            unit="ms"
            values={[0, 20, 50, 100, 200, 500]}
            read={readCommitDelay}
            onChange={(delay) => attempt(() => setCommitDelay(delay))}
          />
        ) : null}
      </div>
      {problem === null ? null : (
        <p role="alert" className="text-sm text-danger">
          {problem}
        </p>
      )}

      <div className="grid min-h-0 flex-1 grid-cols-[minmax(0,1fr)] gap-4 lg:grid-cols-2">
        <Pane
          title="Driven"
          subtitle={
            driven || streamId === undefined
              ? "Over HTTP; from the database should that break off"
              : "This page was reloaded, and reads from the database now"
          }
          body={streamId && driver}
          figures={
            <>
              <Figure name="Characters" value={driver.text.length} />
              <Figure name="Updates" value={updates} />
              <Figure name="Size of the text" value={bytes} unit="B" />
            </>
          }
        />
        <FollowerPane
          metered={follower}
          streamId={streamId}
          ahead={driver.text.length}
        />
      </div>

      {crowd.length > 0 ? (
        <ol
          aria-label="Ten followers"
          className="grid grid-cols-[minmax(0,1fr)] gap-x-8 gap-y-1.5 rounded-xl border border-border bg-card p-4 sm:grid-cols-2"
        >
          {crowd.map((metered, i) => (
            <FollowerRow
              key={i}
              number={i + 1}
              metered={metered}
              streamId={streamId}
              ahead={driver.text.length}
            />
          ))}
        </ol>
      ) : null}
      {isLocal ? <BackendFigures live={live} /> : null}
    </main>
  );
}

/** What all of this costs the backend, since the reply was started. */
function BackendFigures(props: { live: boolean }) {
  const [counters, setCounters] = useState<Counters>();
  useEffect(() => {
    let timer: ReturnType<typeof setTimeout>;
    let over = false;
    const read = () =>
      readCounters()
        .then(setCounters, () => {
          // While it cannot be reached, the last figures stand.
        })
        .finally(() => {
          if (!over) timer = setTimeout(() => void read(), 500);
        });
    if (props.live) void read();
    else timer = setTimeout(() => void readCounters().then(setCounters), 500);
    return () => {
      over = true;
      clearTimeout(timer);
    };
  }, [props.live]);
  return (
    <dl
      aria-label="The backend since the reply was started"
      className="grid grid-cols-2 gap-x-6 gap-y-2 rounded-xl border border-border bg-sidebar px-4 py-3 sm:grid-cols-4"
    >
      <Figure name="Commits" value={counters?.commits ?? 0} />
      <Figure name="Documents read" value={counters?.documentsRead ?? 0} />
      <Figure name="Function calls" value={counters?.functionCalls ?? 0} />
      <Figure
        name="Pushed to all clients"
        value={counters?.bytesPushed ?? 0}
        unit="B"
      />
    </dl>
  );
}

/** A slider over a few values, which need not be evenly spaced. */
function Slider(props: {
  label: string;
  unit: string;
  values: number[];
  /** Asked once: the value is the backend's, and outlives this page. */
  read: () => Promise<number>;
  onChange: (value: number) => void;
}) {
  const { values, read } = props;
  const [value, setValue] = useState(values[0] ?? 0);
  useEffect(() => {
    read().then(setValue, () => {
      // The banner says that the backend cannot be reached.
    });
  }, [read]);
  return (
    <label className="flex min-w-44 flex-1 flex-col gap-1 text-xs text-muted-foreground sm:max-w-56">
      <span className="flex justify-between gap-2">
        {props.label}
        <output className="font-medium text-foreground tabular-nums">
          {value} {props.unit}
        </output>
      </span>
      <input
        type="range"
        aria-label={props.label}
        aria-valuetext={`${value} ${props.unit}`}
        className="h-5 w-full accent-(--color-primary)"
        min={0}
        max={values.length - 1}
        value={values.findLastIndex((step) => step <= value)}
        onChange={(event) => {
          const chosen = values[event.currentTarget.valueAsNumber];
          if (chosen === undefined) return;
          setValue(chosen);
          props.onChange(chosen);
        }}
      />
    </label>
  );
}
