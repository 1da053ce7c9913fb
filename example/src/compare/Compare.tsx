import type { StreamId } from "@convex-dev/persistent-text-streaming";
import { useStream } from "@convex-dev/persistent-text-streaming/react";
import { useMutation } from "convex/react";
import {
  ArrowLeft,
  AudioWaveform,
  Play,
  RotateCw,
  Scissors,
  Square,
  Users,
} from "lucide-react";
import { useEffect, useMemo, useRef, useState } from "react";
import { Link, useSearchParams } from "wouter";
import { api } from "../../convex/_generated/api";
import type { Id } from "../../convex/_generated/dataModel";
import { isLocal, siteAddress } from "../backend";
import { ConnectionBanner } from "../ConnectionBanner";
import { ErrorBoundary, messageOf } from "../errors";
import { authToken } from "../identity";
import { isLive } from "../status";
import { useTitle } from "../useTitle";
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

/** This follower lives as long as the page. */
const follower = meteredClient();
/** The clients of the ten others while they are open. */
let crowd: ReturnType<typeof meteredClient>[] = [];

function openCrowd() {
  if (crowd.length === 0) {
    crowd = Array.from({ length: FOLLOWERS }, meteredClient);
  }
  return crowd;
}

function closeCrowd() {
  for (const { client } of crowd) void client.close();
  crowd = [];
}

export default function Compare() {
  return (
    <ErrorBoundary>
      <SideBySide />
    </ErrorBoundary>
  );
}

function SideBySide() {
  useTitle("Side by side");
  // The page's state is in its address, so that a reload keeps it.
  const [search, setSearch] = useSearchParams();
  function put(name: string, value: string | null) {
    setSearch(
      (before) => {
        const next = new URLSearchParams(before);
        if (value === null) next.delete(name);
        else next.set(name, value);
        return next;
      },
      { replace: true },
    );
  }
  const streamId = (search.get("stream") ?? undefined) as StreamId | undefined;
  const [started, setStarted] = useState<{
    streamId: string;
    conversationId: Id<"conversations">;
  }>();
  const driven = started !== undefined && started.streamId === streamId;

  const body = useStream(
    api.chat.getStreamBody,
    siteAddress("/chat-stream"),
    driven,
    streamId,
    { incremental: true, authToken },
  );
  // Stop shows at once, though the last words may still be on their way.
  const [stopped, setStopped] = useState<string>();
  const driver =
    driven && stopped === streamId
      ? { ...body, status: "aborted" as const }
      : body;
  const updates = useUpdateCount(driver.text);
  const bytes = useMemo(
    () => new TextEncoder().encode(driver.text).length,
    [driver.text],
  );
  const live = streamId !== undefined && isLive(driver.status);

  const sendMessage = useMutation(api.chat.sendMessage);
  const stopStream = useMutation(api.chat.abortStream);
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
      put("stream", sent.streamId);
    });

  const stop = () =>
    attempt(async () => {
      if (streamId === undefined) return;
      await stopStream({ streamId });
      setStopped(streamId);
    });

  const smooth = search.get("smooth") !== "off";
  const followers = search.has("followers") ? openCrowd() : [];
  function toggleCrowd() {
    if (followers.length === 0) {
      put("followers", String(FOLLOWERS));
    } else {
      closeCrowd();
      put("followers", null);
    }
  }

  return (
    <main
      tabIndex={-1}
      className="outline-none relative mx-auto flex max-w-7xl flex-col gap-4 p-4 lg:h-dvh lg:p-6"
    >
      <ConnectionBanner />
      <header className="flex flex-wrap items-start gap-x-6 gap-y-3">
        <div className="min-w-0 flex-1 basis-80">
          <h1 className="font-serif text-2xl tracking-tight">Side by side</h1>
          <p className="max-w-[44rem] text-sm text-muted-foreground text-pretty">
            The same stream twice. “Driven” is the browser that asked for the
            reply and gets it over HTTP. “Followed” is every other browser,
            which gets it through the database.
          </p>
        </div>
        <Link href="/" className="button">
          <ArrowLeft size={16} aria-hidden /> Back to the chat
        </Link>
      </header>

      <div className="flex flex-wrap items-end gap-x-6 gap-y-3">
        <div className="flex flex-wrap gap-2">
          {/* Both always stay and are never disabled, so neither loses the focus. */}
          <button
            type="button"
            className="button button-primary"
            aria-disabled={live}
            onClick={live ? undefined : start}
          >
            <Play size={15} aria-hidden /> Start a reply
          </button>
          <button
            type="button"
            className="button"
            aria-disabled={!live}
            onClick={live ? stop : undefined}
          >
            <Square size={14} fill="currentColor" aria-hidden /> Stop
          </button>
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
            aria-pressed={followers.length > 0}
            onClick={toggleCrowd}
          >
            <Users size={15} aria-hidden />
            {followers.length > 0 ? "Close the ten" : "Open ten followers"}
          </button>
          <button
            type="button"
            role="switch"
            aria-checked={smooth}
            className="button"
            title="Let the follower's text flow at the pace at which it arrives"
            onClick={() => put("smooth", smooth ? "off" : null)}
          >
            <AudioWaveform size={15} aria-hidden />
            Smooth text: {smooth ? "on" : "off"}
          </button>
        </div>
        {/* Together, so that neither slider wraps alone. */}
        <div className="flex grow flex-wrap gap-x-6 gap-y-3">
          {canSetPace ? (
            <Slider
              label="The model's speed"
              unit="tokens/s"
              values={[10, 30, 60, 120, 250, 500, 1000]}
              kept={search.get("pace")}
              onKeep={(pace) => put("pace", pace)}
              read={readPace}
              write={setPace}
            />
          ) : null}
          {isLocal ? (
            <Slider
              label="A commit takes"
              unit="ms"
              values={[0, 20, 50, 100, 200, 500]}
              kept={search.get("commit")}
              onKeep={(delay) => put("commit", delay)}
              read={readCommitDelay}
              write={setCommitDelay}
            />
          ) : null}
        </div>
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
              ? "Over HTTP, and from the database if that fails"
              : "After the reload, from the database"
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
          smooth={smooth}
        />
      </div>

      {followers.length > 0 ? (
        <ol
          aria-label="Ten followers"
          className="grid grid-cols-[minmax(0,1fr)] gap-x-8 gap-y-1.5 rounded-xl border border-border bg-card p-4 sm:grid-cols-2"
        >
          {followers.map((metered, i) => (
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

/** The backend's work since the reply was started. */
function BackendFigures(props: { live: boolean }) {
  const [counters, setCounters] = useState<Counters>();
  useEffect(() => {
    let timer: ReturnType<typeof setTimeout>;
    let over = false;
    const read = () =>
      readCounters()
        .then(setCounters, () => {
          // Keep the last figures while the backend cannot be reached.
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

/**
 * A slider over a few values, which need not be evenly spaced. The value belongs to
 * this page: leaving the page restores the backend's own.
 */
function Slider(props: {
  label: string;
  unit: string;
  values: number[];
  /** This page's value; null if it has not changed the backend's. */
  kept: string | null;
  onKeep: (value: string) => void;
  read: () => Promise<number>;
  write: (value: number) => Promise<unknown>;
}) {
  const { label, values, kept, read, write } = props;
  // The backend's own value. After a reload, the backend may not have it back yet.
  const [own, setOwn] = useState<number | undefined>(() => {
    const stored = sessionStorage.getItem(label);
    return stored === null ? undefined : Number(stored);
  });
  const value = kept === null ? (own ?? values[0] ?? 0) : Number(kept);
  const isChanged = useRef(false);
  useEffect(() => {
    // The banner says so when the backend cannot be reached.
    if (own === undefined) read().then(setOwn, () => {});
  }, [own, read]);
  useEffect(() => {
    if (own === undefined || (kept === null && !isChanged.current)) return;
    isChanged.current = true;
    sessionStorage.setItem(label, String(own));
    write(value).catch(() => {});
  }, [label, own, kept, value, write]);
  useEffect(() => {
    const reset = () => {
      if (own !== undefined && isChanged.current) write(own).catch(() => {});
    };
    window.addEventListener("pagehide", reset);
    return () => {
      window.removeEventListener("pagehide", reset);
      reset();
      sessionStorage.removeItem(label);
    };
  }, [label, own, write]);
  return (
    <label className="flex min-w-52 flex-1 flex-col gap-1 text-xs text-muted-foreground sm:max-w-56">
      <span className="flex justify-between gap-2 whitespace-nowrap">
        {props.label}
        <output className="font-medium whitespace-nowrap text-foreground tabular-nums">
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
          if (chosen !== undefined) props.onKeep(String(chosen));
        }}
      />
    </label>
  );
}
