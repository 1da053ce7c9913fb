import {
  type FunctionReference,
  type FunctionVisibility,
  type GenericActionCtx,
  getFunctionName,
  httpActionGeneric,
  type HttpRouter,
  type PublicHttpAction,
} from "convex/server";
import { wire } from "../protocol.js";
import type { StreamId } from "../shared.js";
import { isConvexError, mayBeId, messageOf, shown } from "./values.js";
import { checkVerdict, isConvexFunction } from "./hook-api.js";
import type { PersistentTextStreaming } from "./index.js";
import { emptyResponse, errorResponse, notFound } from "./responses.js";
import type { ChunkAppender, Written } from "./write.js";

/*
 * The HTTP routes, with CORS, that apps would otherwise write by hand around
 * `stream()` and `resume()`. Each applies the app's rule first.
 */

/*
 * Apps annotate `ctx` with their own type. Only `any` allows that without a type
 * argument, which would make `_generated/api` circular.
 */
// eslint-disable-next-line @typescript-eslint/no-explicit-any
type ActionCtx = GenericActionCtx<any>;

/** The options of `registerRoutes`. */
export type RegisterRoutesOptions = {
  /** The path of the routes, such as `"/chat"`. */
  path: string;
  /**
   * Writes the stream for a POST: as an async generator of strings, or with `append`.
   * Runs at most once per stream.
   */
  write: (ctx: ActionCtx, call: WriteCall) => Written;
  /**
   * Decides who may read and write:
   *
   * - a query, such as `internal.chat.authorizeStream` from `hookAPI`, called
   *   with `{ streamId, operation }`;
   * - a function of the action's `ctx` that throws to refuse;
   * - `"public"`: everyone who knows the id of a stream.
   */
  authorize:
    | FunctionReference<"query", FunctionVisibility>
    | ((
        ctx: ActionCtx,
        call: {
          streamId: StreamId;
          request: Request;
          operation: "read" | "write";
        },
      ) => void | Promise<void>)
    | "public";
  /**
   * The origins whose pages may call the routes, such as `["https://example.com"]`.
   * Default: `["*"]`, every origin. Tokens travel in a header, so no other site can
   * borrow a user's session.
   */
  allowedOrigins?: readonly string[] | undefined;
};

/** What `write` receives, besides the action's `ctx`. */
export type WriteCall = {
  /** The stream to write. */
  streamId: StreamId;
  /**
   * The JSON that the page posted: `streamId`, and any further fields. Validate it
   * like any input.
   */
  body: Record<string, unknown>;
  /** The request. Its body has already been read. */
  request: Request;
  /** Fires when the stream is stopped, deleted or timed out. Pass it to the model's client. */
  signal: AbortSignal;
  /** Appends text, for a writer that is not a generator. */
  append: ChunkAppender;
};

type Methods = Pick<PersistentTextStreaming, "stream" | "resume">;

/** The largest POST body (UTF-16 code units). Large files belong in file storage. */
const LARGEST_BODY_CHARS = 1024 * 1024;

/** How long (s) a browser may cache the response to its preflight. */
const PREFLIGHT_MAX_AGE_S = 2 * 60 * 60;

/**
 * The longest id (UTF-16 code units) that an app's rule is asked about. Real ids are
 * far shorter.
 */
const LONGEST_ID_CHARS = 100;

/** A request that names a stream, or a sentence that says why it does not. */
type Asked = { streamId: string; body: Record<string, unknown> } | string;

/** Registers the routes of `registerRoutes`. */
export function registerRoutes(
  streaming: Methods,
  http: HttpRouter,
  options: RegisterRoutesOptions,
): void {
  checkRouter(http);
  const { path, write, authorize, origins } = checkRoutesOptions(options);

  const handler = (
    operation: "read" | "write",
    parse: (request: Request) => Asked | Promise<Asked>,
    answer: (
      ctx: ActionCtx,
      request: Request,
      streamId: StreamId,
      body: Record<string, unknown>,
    ) => Promise<Response>,
  ): PublicHttpAction => {
    const respond = async (ctx: ActionCtx, request: Request) => {
      const asked = await parse(request);
      if (typeof asked === "string") return errorResponse(400, asked);
      if (!mayBeId(asked.streamId) || asked.streamId.length > LONGEST_ID_CHARS)
        return notFound(asked.streamId);
      const streamId = asked.streamId as StreamId;
      try {
        await authorize(ctx, { streamId, request, operation });
      } catch (error) {
        if (!isConvexError(error)) throw error;
        return errorResponse(403, messageOf(error.data) ?? "Not allowed.");
      }
      return await answer(ctx, request, streamId, asked.body);
    };
    return httpActionGeneric(async (ctx, request) => {
      let response: Response;
      try {
        response = await respond(ctx, request);
      } catch (error) {
        console.error(`${request.method} ${path} failed:`, error);
        // The error may contain secrets.
        response = errorResponse(
          500,
          "Something went wrong. See the deployment's logs.",
        );
      }
      return allowOrigin(response, request, origins);
    });
  };

  http.route({
    path,
    method: "POST",
    handler: handler("write", askedByPost, (ctx, request, streamId, body) =>
      streaming.stream(
        ctx,
        request,
        streamId,
        (_ctx, _request, _streamId, append, signal) =>
          write(ctx, { streamId, body, request, signal, append }),
      ),
    ),
  });
  // Convex also answers HEAD with this.
  http.route({
    path,
    method: "GET",
    handler: handler("read", askedByUrl, (ctx, request, streamId) =>
      streaming.resume(ctx, request, streamId),
    ),
  });
  http.route({
    path,
    method: "OPTIONS",
    handler: httpActionGeneric((_ctx, request) =>
      Promise.resolve(allowOrigin(preflight(request), request, origins)),
    ),
  });
}

async function askedByPost(request: Request): Promise<Asked> {
  const wanted = `The body of a POST must be JSON that names a stream, such as {"${wire.streamId}": "…"}`;
  const tooLong = (length: number) =>
    `${wanted}, of at most ${LARGEST_BODY_CHARS} characters; it has ${length}. Upload large files to Convex's file storage.`;
  const announced = Number(request.headers.get("Content-Length") ?? 0);
  // A code unit takes up to three bytes.
  if (announced > 3 * LARGEST_BODY_CHARS) return tooLong(announced);
  const text = await request.text().catch(() => "");
  if (text.length > LARGEST_BODY_CHARS) return tooLong(text.length);
  let body: unknown;
  try {
    body = JSON.parse(text);
  } catch {
    return `${wanted}; it is ${text === "" ? "empty" : `not JSON: ${shown(text)}`}.`;
  }
  if (Object(body) !== body || Array.isArray(body)) {
    return `${wanted}; it is ${shown(body)}.`;
  }
  const { streamId } = body as Record<string, unknown>;
  if (typeof streamId !== "string") {
    return `${wanted}; its ${wire.streamId} is ${shown(streamId)}.`;
  }
  return { streamId, body: body as Record<string, unknown> };
}

function askedByUrl(request: Request): Asked {
  const ids = new URL(request.url).searchParams.getAll(wire.streamId);
  const [streamId] = ids;
  if (streamId === undefined || ids.length > 1) {
    return `The URL must name one stream, as in ?${wire.streamId}=…; it names ${ids.length || "none"}.`;
  }
  return { streamId, body: {} };
}

/** Sets whether a page of the request's origin may read the response. */
function allowOrigin(
  response: Response,
  request: Request,
  origins: ReadonlySet<string>,
): Response {
  const { headers } = response;
  if (origins.has("*")) {
    headers.set("Access-Control-Allow-Origin", "*");
    return response;
  }
  // The response depends on the origin, so caches must keep one for each.
  headers.append("Vary", "Origin");
  const origin = request.headers.get("Origin");
  if (origin !== null && origins.has(origin)) {
    headers.set("Access-Control-Allow-Origin", origin);
  }
  return response;
}

/**
 * Allows the headers that the browser asks for: apps send their own, and `*` would
 * leave out `Authorization`.
 */
function preflight(request: Request): Response {
  const asked = request.headers.get("Access-Control-Request-Headers");
  return emptyResponse(204, {
    "Access-Control-Allow-Methods": "GET, HEAD, POST",
    ...(asked === null ? {} : { "Access-Control-Allow-Headers": asked }),
    "Access-Control-Max-Age": String(PREFLIGHT_MAX_AGE_S),
    Vary: "Access-Control-Request-Headers",
  });
}

function checkRouter(http: unknown): void {
  const router = Object(http) as { isRouter?: unknown; http?: unknown };
  if (router.isRouter === true) return;
  const inner = Object(router.http) as { isRouter?: unknown };
  throw new TypeError(
    inner.isRouter === true
      ? "registerRoutes() needs `http` itself, the router that you passed to corsRouter(http). These routes answer CORS on their own, and a corsRouter would hide their Stream-* headers from pages."
      : `registerRoutes() needs a router, \`const http = httpRouter()\`, and options; it is ${shown(http)}.`,
  );
}

/** The options, normalized. */
function checkRoutesOptions(given: unknown) {
  if (Object(given) !== given) {
    throw new TypeError(
      `registerRoutes(http, options) takes options, { path, write, authorize }; they are ${shown(given)}.`,
    );
  }
  const options = given as RegisterRoutesOptions;
  const { path, write } = options;
  if (!isPath(path)) {
    throw new TypeError(
      `The path of registerRoutes() must begin with a slash and have no query, such as "/chat"; it is ${shown(path)}.`,
    );
  }
  if (typeof write !== "function" || isConvexFunction(write)) {
    throw new TypeError(
      `The write option of registerRoutes() for ${path} must be a function, such as async function* (ctx, { streamId, signal }) { … }; it is ${isConvexFunction(write) ? "a Convex function" : shown(write)}.`,
    );
  }
  return {
    path,
    write,
    authorize: authorizer(path, options.authorize),
    origins: checkOrigins(path, options.allowedOrigins),
  };
}

/** Whether requests can have this path. `new URL()` would change any other. */
function isPath(path: unknown): path is string {
  const deployment = "https://deployment.test";
  return holds(() => new URL(path as string, deployment).pathname === path);
}

/** Whether a condition is met. One that throws is not. */
function holds(condition: () => boolean): boolean {
  try {
    return condition();
  } catch {
    return false;
  }
}

function authorizer(path: string, authorize: unknown) {
  type Authorize = Extract<
    RegisterRoutesOptions["authorize"],
    (...args: never[]) => unknown
  >;
  if (authorize === "public") return () => {};
  if (typeof authorize === "function" && !isConvexFunction(authorize)) {
    return async (...args: Parameters<Authorize>) =>
      checkVerdict("registerRoutes", await (authorize as Authorize)(...args));
  }
  if (isReference(authorize)) {
    return async (
      ctx: ActionCtx,
      { streamId, operation }: Parameters<Authorize>[1],
    ) => {
      const verdict: unknown = await ctx.runQuery(authorize, {
        streamId,
        operation,
      });
      checkVerdict("registerRoutes", verdict);
    };
  }
  throw new TypeError(
    `The authorize option of registerRoutes() for ${path} must be a reference, such as internal.chat.authorizeStream, a function (ctx, { streamId, request, operation }) that throws to refuse, or "public" for everyone; it is ${isConvexFunction(authorize) ? "the Convex function itself, not a reference to it" : shown(authorize)}.`,
  );
}

function isReference(
  value: unknown,
): value is FunctionReference<"query", FunctionVisibility> {
  // The name of a string would be the string.
  if (typeof value !== "object") return false;
  return holds(
    () => getFunctionName(value as FunctionReference<"query">) !== "",
  );
}

function checkOrigins(path: string, allowed: unknown): ReadonlySet<string> {
  const origins: unknown = allowed ?? ["*"];
  const option = `The allowedOrigins option of registerRoutes() for ${path}`;
  if (!Array.isArray(origins)) {
    throw new TypeError(
      `${option} must be an array of origins, such as ["https://example.com"]; it is ${shown(origins)}.`,
    );
  }
  for (const origin of origins as unknown[]) {
    if (origin !== "*" && !isOrigin(origin)) {
      throw new TypeError(
        `${option} takes origins as browsers send them, such as "https://example.com", without a path, or "*" for all; one is ${shown(origin)}.`,
      );
    }
  }
  return new Set(origins as string[]);
}

/**
 * Whether a browser may send this as a page's origin: `https://example.com`, or an
 * app's own scheme, such as `capacitor://localhost`.
 */
function isOrigin(origin: unknown): origin is string {
  if (typeof origin !== "string") return false;
  if (!/^[a-z][a-z0-9+.-]*:\/\/[^/?#\s*]+$/.test(origin)) return false;
  // Older backends have no URLs with other schemes.
  if (!/^https?:/.test(origin)) return true;
  return holds(() => new URL(origin).origin === origin);
}
