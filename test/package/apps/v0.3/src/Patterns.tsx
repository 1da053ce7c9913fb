/** What apps of 0.3 have around the hook. Compiles and runs with both versions. */
import type {
  StreamBody,
  StreamId,
} from "@convex-dev/persistent-text-streaming";
import { useStream } from "@convex-dev/persistent-text-streaming/react";
import { useEffect, useMemo, useState } from "react";
import { api } from "../convex/_generated/api.js";

/** An app's own list of the statuses, and a map over them. */
type Status = "pending" | "streaming" | "done" | "error" | "timeout";
type Shown = ReturnType<typeof useStream>;
const labels: Record<Status | Shown["status"] | StreamBody["status"], string> =
  {
    pending: "Waiting",
    streaming: "Writing",
    done: "",
    error: "Failed",
    timeout: "Gave up",
  };

const queries = {
  body: api.patterns.body,
  notSignedIn: api.patterns.notSignedIn,
  notFound: api.patterns.notFound,
};

interface Props {
  siteUrl: string;
  /** How the HTTP action writes. */
  search?: string;
  query?: keyof typeof queries;
  driven: boolean;
  streamId: string | null | undefined;
  /** Sees what the hook returns at each render. */
  onBody: (body: StreamBody) => void;
}

/** An app's own hook around the hook. */
function useReply(
  ...args: Parameters<typeof useStream>
): StreamBody & { label: string } {
  const body: Shown = useStream(...args);
  return { ...body, label: labels[body.status] };
}

/** A message as the examples of 0.3 have it. */
export function Reply(props: Props) {
  const { siteUrl, search = "" } = props;
  const url = useMemo(
    () => new URL(`/write${search}`, siteUrl),
    [siteUrl, search],
  );
  const query = queries[props.query ?? "body"];
  const id = props.streamId as StreamId;
  const { label, ...body } = useReply(query, url, props.driven, id);
  props.onBody(body);
  return <p title={label}>{body.text}</p>;
}

/** The same with new objects at each render. */
export function Inline(props: Props) {
  const body = useStream(
    queries[props.query ?? "body"],
    new URL(`/write${props.search ?? ""}`, props.siteUrl),
    props.driven,
    props.streamId as StreamId,
    { headers: { "X-Model": "small" } },
  );
  props.onBody(body);
  return <p title={labels[body.status]}>{body.text}</p>;
}

/** Keeps what it drives in a store, and takes it out as soon as the message is on the page. */
export function DrivenForOneRender(props: Props) {
  const [driven, setDriven] = useState(() => new Set([props.streamId]));
  useEffect(() => setDriven(new Set()), [props.streamId]);
  return <Reply {...props} driven={driven.has(props.streamId)} />;
}

/** A follower in an app without types. It never drives, so it has no URL to give. */
export function Follower(props: any) {
  const noUrl: any = null;
  const query: any = queries.body;
  const body: Shown = useStream(query, noUrl, false, props.streamId || "");
  props.onBody(body);
  return <p>{labels[body.status]}</p>;
}

/** Shows a further field that its query returns. */
export function WithModel(props: Props & { token: string | null }) {
  const [status, setStatus] = useState<Status>("pending");
  const body: { text: string; status: Status; model?: string | undefined } =
    useStream(
      api.patterns.withModel,
      new URL(props.siteUrl),
      false,
      props.streamId as StreamId,
      { authToken: props.token },
    );
  useEffect(() => setStatus(body.status), [body.status]);
  props.onBody(body);
  return <p title={status}>{body.text}</p>;
}
