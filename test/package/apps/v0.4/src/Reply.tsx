import type { StreamId } from "@convex-dev/persistent-text-streaming";
import {
  useStream,
  type UseStreamOptions,
} from "@convex-dev/persistent-text-streaming/react";
import { api } from "../convex/_generated/api.js";

const options: UseStreamOptions<typeof api.replies.getPage> = {
  incremental: true,
};

export function Reply(props: { url: URL; streamId: StreamId }) {
  const { text, status } = useStream(
    api.replies.getPage,
    props.url,
    false,
    props.streamId,
    options,
  );
  return <p title={status}>{text}</p>;
}

export function Refused(props: { url: URL; streamId: StreamId }) {
  const { text } = useStream(
    api.patterns.body,
    props.url,
    false,
    props.streamId,
    // @ts-expect-error This query does not take `from`.
    { incremental: true },
  );
  return <p>{text}</p>;
}
