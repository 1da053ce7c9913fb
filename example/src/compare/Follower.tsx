import type { StreamId } from "@convex-dev/persistent-text-streaming";
import {
  useSmoothText,
  useStreamBody,
} from "@convex-dev/persistent-text-streaming/react";
import { useSyncExternalStore } from "react";
import { api } from "../../convex/_generated/api";
import { BackendProvider } from "../identity";
import type { meteredClient, Meter } from "./meter";
import { Figure, Pane } from "./Pane";
import { useUpdateCount } from "./useUpdateCount";

type Metered = ReturnType<typeof meteredClient>;

/** Reads the stream as another window does: with a client of its own, from the database. */
function useFollowed(streamId: StreamId | undefined) {
  return useStreamBody(api.chat.getStreamBody, streamId, { incremental: true });
}

function useBytes(meter: Meter): number {
  return useSyncExternalStore(meter.subscribe, () => meter.bytes);
}

type FollowerProps = {
  metered: Metered;
  streamId: StreamId | undefined;
  /** The driver's length, in characters. */
  ahead: number;
};

export function FollowerPane(props: FollowerProps & { smooth: boolean }) {
  return (
    <BackendProvider client={props.metered.client}>
      <FollowedPane {...props} />
    </BackendProvider>
  );
}

function FollowedPane({
  metered,
  streamId,
  ahead,
  smooth,
}: FollowerProps & { smooth: boolean }) {
  const body = useFollowed(streamId);
  const [visible] = useSmoothText(body.text, { status: body.status });
  const updates = useUpdateCount(body.text);
  return (
    <Pane
      title="Followed"
      subtitle="Another window, from the database"
      body={streamId && { ...body, text: smooth ? visible : body.text }}
      figures={
        <>
          <Figure name="Characters" value={body.text.length} />
          <Figure name="Updates" value={updates} />
          <Figure name="Received" value={useBytes(metered.meter)} unit="B" />
          <Figure
            name="Behind"
            value={Math.max(0, ahead - body.text.length)}
            unit="chars"
          />
        </>
      }
    />
  );
}

export function FollowerRow(props: FollowerProps & { number: number }) {
  return (
    <BackendProvider client={props.metered.client}>
      <FollowedRow {...props} />
    </BackendProvider>
  );
}

function FollowedRow(props: FollowerProps & { number: number }) {
  const body = useFollowed(props.streamId);
  const bytes = useBytes(props.metered.meter);
  const name = `Follower ${props.number}`;
  return (
    <li className="flex items-center gap-3 text-xs tabular-nums">
      <span className="w-20 shrink-0">{name}</span>
      <progress
        aria-label={`${name}: characters`}
        className="h-1.5 w-0 flex-1 appearance-none overflow-hidden rounded-full bg-muted [&::-moz-progress-bar]:bg-primary [&::-webkit-progress-bar]:bg-muted [&::-webkit-progress-value]:bg-primary"
        value={body.text.length}
        max={Math.max(props.ahead, body.text.length, 1)}
      />
      <span className="w-16 shrink-0 text-right" data-characters>
        {body.text.length.toLocaleString("en")}
      </span>
      <span className="w-20 shrink-0 text-right text-muted-foreground">
        {bytes.toLocaleString("en")} B
      </span>
    </li>
  );
}
