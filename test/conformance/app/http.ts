import {
  anyApi,
  componentsGeneric,
  httpActionGeneric as httpAction,
  httpRouter,
  type GenericActionCtx,
  type GenericDataModel,
} from "convex/server";
import {
  PersistentTextStreaming,
  type StreamId,
} from "../../../src/client/index.js";
import type { ComponentApi } from "../../../src/component/_generated/component.js";
import { serveDurableStream } from "../../../src/durable/index.js";
import { formatOffset } from "../../../src/protocol.js";

const component = componentsGeneric()
  .persistentTextStreaming as unknown as ComponentApi;
const streaming = new PersistentTextStreaming(component);
const { lib } = component;
const places = anyApi.places!;

type Ctx = GenericActionCtx<GenericDataModel>;
type Place = { _id: string; streamId: StreamId; contentType: string };

const pathOf = (request: Request) => new URL(request.url).pathname;
const find = async (ctx: Ctx, path: string) =>
  (await ctx.runQuery(places.find!, { path })) as Place | null;

/** As in an app: it finds the stream by the URL, and the package does the rest. */
const read = httpAction(async (ctx, request) => {
  const place = await find(ctx, pathOf(request));
  const { streamId, contentType } = place ?? { streamId: "" as StreamId };
  return serveDurableStream(streaming, ctx, request, streamId, { contentType });
});

/** How the suite writes streams. The package only serves readers. */
const write = httpAction(async (ctx, request) => {
  const path = pathOf(request);
  const contentType =
    request.headers.get("Content-Type") ?? "application/octet-stream";
  let place = await find(ctx, path);
  const isNew = request.method === "PUT" && place === null;
  if (isNew) {
    const streamId = await streaming.createStream(ctx);
    await ctx.runMutation(places.put!, { path, streamId, contentType });
    place = await find(ctx, path);
  }
  if (place === null) return new Response(null, { status: 404 });
  const { _id, streamId } = place;
  if (request.method === "DELETE") {
    await streaming.deleteStream(ctx, streamId);
    await ctx.runMutation(places.remove!, { _id });
    return new Response(null, { status: 204 });
  }
  // Bytes that are not text become U+FFFD.
  const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
  const text = decoder.decode(await request.arrayBuffer());
  const final = request.headers.get("Stream-Closed") === "true";
  if (text !== "") {
    await ctx.runMutation(lib.addChunk, { streamId, text, final });
  } else if (final) {
    await ctx.runMutation(lib.setStreamStatus, { streamId, status: "done" });
  }
  const tail = await ctx.runQuery(lib.tail, { streamId });
  const headers = {
    "Stream-Next-Offset": formatOffset(tail!.offset),
    ...(final && { "Stream-Closed": "true" }),
  };
  const status = request.method === "POST" ? 204 : isNew ? 201 : 200;
  return new Response(null, { status, headers });
});

const http = httpRouter();
const pathPrefix = "/v1/stream/";
http.route({ pathPrefix, method: "GET", handler: read });
for (const method of ["PUT", "POST", "DELETE"] as const) {
  http.route({ pathPrefix, method, handler: write });
}
export default http;
