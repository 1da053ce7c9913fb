import {
  anyApi,
  httpActionGeneric as httpAction,
  httpRouter,
  type FunctionReference,
} from "convex/server";
import type { StreamId } from "../../../src/client/index.js";
import { serveDurableStream } from "../../../src/durable/index.js";
import { formatOffset } from "../../../src/protocol.js";
import { streaming, type Place, type Written } from "./streams.js";

const { streams } = anyApi as unknown as {
  streams: Record<"find", FunctionReference<"query">> &
    Record<"put" | "post" | "remove", FunctionReference<"mutation">>;
};

/** As in an app: it finds the stream by the URL, and the package does the rest. */
const read = httpAction(async (ctx, request) => {
  const { pathname: path } = new URL(request.url);
  const place = (await ctx.runQuery(streams.find, { path })) as Place | null;
  const { streamId, contentType } = place ?? { streamId: "" as StreamId };
  return serveDurableStream(streaming, ctx, request, streamId, { contentType });
});

/** Only for the tests. */
const write = httpAction(async (ctx, request) => {
  const { pathname: path } = new URL(request.url);
  if (request.method === "DELETE") {
    const status = (await ctx.runMutation(streams.remove, { path })) as number;
    return new Response(null, { status });
  }
  const close = request.headers.get("Stream-Closed") === "true";
  const text = await textOf(request);
  const contentType =
    request.headers.get("Content-Type") ?? "application/octet-stream";
  const written = (await (request.method === "PUT"
    ? ctx.runMutation(streams.put, { path, contentType, text, close })
    : ctx.runMutation(streams.post, { path, text, close }))) as Written;
  return new Response(null, {
    status: written.status,
    headers: {
      "Content-Type": contentType,
      "Stream-Next-Offset": formatOffset(written.offset),
      ...(written.closed && { "Stream-Closed": "true" }),
    },
  });
});

/** The body of a request. Bytes that are not text become U+FFFD. */
async function textOf(request: Request): Promise<string> {
  const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
  return decoder.decode(await request.arrayBuffer());
}

const http = httpRouter();
const pathPrefix = "/v1/stream/";
http.route({ pathPrefix, method: "GET", handler: read });
for (const method of ["PUT", "POST", "DELETE"] as const) {
  http.route({ pathPrefix, method, handler: write });
}
export default http;
