import type { StreamId } from "@convex-dev/persistent-text-streaming";
import {
  useStream,
  type UseStreamOptions,
} from "@convex-dev/persistent-text-streaming/react";
import { api } from "../convex/_generated/api.js";

const options: UseStreamOptions<typeof api.replies.getPage> = {
  incremental: true,
};

export function Reply({ url, id }: { url: URL; id: StreamId }) {
  const body = useStream(api.replies.getPage, url, false, id, options);
  // @ts-expect-error This query does not take `from`.
  useStream(api.patterns.body, url, false, id, { incremental: true });
  return <p title={body.status}>{body.text}</p>;
}
