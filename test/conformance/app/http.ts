import {
  httpActionGeneric as httpAction,
  httpRouter,
  makeFunctionReference,
} from "convex/server";
import type { StreamId } from "../../../src/client/index.js";
import { serveDurableStream } from "../../../src/durable/index.js";
import { formatOffset } from "../../../src/protocol.js";
import { streaming, type Written } from "./streams.js";

type Place = { streamId: StreamId; contentType: string };
const find = makeFunctionReference<"query", { path: string }, Place | null>(
  "streams:find",
);
const put = makeFunctionReference<"mutation", Record<string, unknown>, Written>(
  "streams:put",
);
const post = makeFunctionReference<
  "mutation",
  Record<string, unknown>,
  Written
>("streams:post");
const remove = makeFunctionReference<"mutation", { path: string }, number>(
  "streams:remove",
);

/** As an app does it: the URL says which stream, and the rest is the package's. */
const read = httpAction(async (ctx, request) => {
  const { pathname: path } = new URL(request.url);
  const place = await ctx.runQuery(find, { path });
  const { streamId, contentType } = place ?? { streamId: "" as StreamId };
  return serveDurableStream(streaming, ctx, request, streamId, { contentType });
});

/** For the tests alone. */
const write = httpAction(async (ctx, request) => {
  const { pathname: path } = new URL(request.url);
  if (request.method === "DELETE") {
    return new Response(null, {
      status: await ctx.runMutation(remove, { path }),
    });
  }
  const close = request.headers.get("Stream-Closed") === "true";
  const text = await textOf(request);
  const contentType =
    request.headers.get("Content-Type") ?? "application/octet-stream";
  const written =
    request.method === "PUT"
      ? await ctx.runMutation(put, { path, contentType, text, close })
      : await ctx.runMutation(post, { path, text, close });
  return new Response(null, {
    status: written.status,
    headers: {
      "Content-Type": contentType,
      "Stream-Next-Offset": formatOffset(written.offset),
      ...(written.closed && { "Stream-Closed": "true" }),
    },
  });
});

/** All of a request's body. Bytes that are no text become U+FFFD: streams here are text. */
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
