import { clearInterval, setInterval } from "node:timers";
import type { UserIdentity } from "convex/server";
import {
  convexToJson,
  jsonToConvex,
  type JSONValue,
  type Value,
} from "convex/values";
import type { WebSocket } from "ws";
import type { Engine } from "./engine.js";
import { describeError, failureOf } from "./failure.js";
import type { FunctionPath } from "./functions.js";
import { identityOf } from "./identity.js";
import {
  encodeTs,
  queryFailed,
  queryRemoved,
  queryUpdated,
  transitionMessage,
  type ClientMessage,
  type ServerMessage,
  type StateVersion,
} from "./sync-protocol.js";
import type { CachedQuery, Outcome, QueryCache } from "./queries.js";

const PING_MS = 15_000;
/** Answers to mutations that are kept for clients which send them again. */
const MAX_ANSWERS = 20_000;

/** All clients that are connected, and what makes them see the same commits. */
export class SyncHub {
  readonly engine: Engine;
  readonly cache: QueryCache;
  private readonly sessions = new Set<SyncSession>();
  private readonly due = new Set<SyncSession>();
  private readonly answers = new Map<string, Promise<ServerMessage>>();
  private isSettling = false;

  constructor(engine: Engine, cache: QueryCache) {
    this.engine = engine;
    this.cache = cache;
  }

  /** How many clients are connected, and to how many queries they have subscribed. */
  open(): { sockets: number; subscriptions: number } {
    let subscriptions = 0;
    for (const session of this.sessions) subscriptions += session.size;
    return { sockets: this.sessions.size, subscriptions };
  }

  /** Takes over the answers that an earlier process gave. */
  inherit(answers: ReadonlyMap<string, JSONValue>): void {
    for (const [key, result] of answers) {
      const requestId = Number(key.slice(key.lastIndexOf("/") + 1));
      const ts = encodeTs(this.engine.ts);
      this.keep(
        key,
        Promise.resolve({
          type: "MutationResponse",
          requestId,
          success: true,
          result,
          ts,
          logLines: [],
        }),
      );
    }
  }

  connect(socket: WebSocket): void {
    const session = new SyncSession(this, socket);
    this.sessions.add(session);
    socket.on("close", () => {
      this.sessions.delete(session);
      this.due.delete(session);
      session.close();
    });
  }

  /** Ends all connections, as a network would: clients try again by themselves. */
  dropAll(): void {
    for (const session of this.sessions) session.drop();
  }

  /** The session has something to be told, once all results are up to date. */
  tell(session: SyncSession): void {
    this.due.add(session);
    this.settle();
  }

  /**
   * Brings all subscriptions up to date, then tells the clients. No mutation
   * starts meanwhile, so that all they are told belongs to one commit.
   */
  settle(): void {
    if (this.isSettling) return;
    if (!this.cache.hasStale() && this.due.size === 0) return;
    this.isSettling = true;
    this.engine.turns.hold();
    this.refreshAndPush()
      .catch((error: unknown) => {
        this.engine.report("Bringing subscriptions up to date", error);
      })
      .finally(() => {
        this.isSettling = false;
        this.engine.turns.unhold();
        // Somebody may have come after the last look.
        this.settle();
      });
  }

  /**
   * Runs a client's mutation, or finds the answer that it got before its
   * connection was lost: clients send again what they had no answer to.
   */
  mutate(
    key: string,
    run: () => Promise<ServerMessage>,
  ): Promise<ServerMessage> {
    let answer = this.answers.get(key);
    if (answer === undefined) {
      answer = run();
      this.keep(key, answer);
    }
    return answer;
  }

  private keep(key: string, answer: Promise<ServerMessage>): void {
    this.answers.set(key, answer);
    if (this.answers.size > MAX_ANSWERS) {
      const [oldest] = this.answers.keys();
      this.answers.delete(oldest!);
    }
  }

  private async refreshAndPush(): Promise<void> {
    while (this.cache.hasStale()) await this.cache.refresh();
    // From here on without a pause: the results are those of this moment.
    const sessions = [...this.due];
    this.due.clear();
    for (const session of sessions) session.push();
  }
}

/** A query that a client has subscribed to, and what it has been told of it. */
interface Subscription {
  path: FunctionPath;
  args: Value;
  entry: CachedQuery;
  told: Outcome | null;
}

type FailedSubscription = { failed: Outcome; told: Outcome | null };

/** One connection of a client. */
class SyncSession {
  private readonly hub: SyncHub;
  private readonly socket: WebSocket;
  private readonly pings: NodeJS.Timeout;
  private sessionId = "";
  private identity: UserIdentity | null = null;
  /** What the client has been told. */
  private told: StateVersion = { querySet: 0, identity: 0, ts: 0n };
  /** What the client has asked for. */
  private asked = { querySet: 0, identity: 0 };
  private readonly queries = new Map<
    number,
    Subscription | FailedSubscription
  >();
  private readonly removed = new Set<number>();
  /** The client waits for a Transition, even if nothing has changed. */
  private owed = false;
  private mutations: Promise<void> = Promise.resolve();

  constructor(hub: SyncHub, socket: WebSocket) {
    this.hub = hub;
    this.socket = socket;
    this.pings = setInterval(() => this.send({ type: "Ping" }), PING_MS);
    this.pings.unref();
    socket.on("error", () => {
      // What comes next is "close".
    });
    socket.on("message", (data: Buffer) => {
      try {
        this.onMessage(JSON.parse(data.toString("utf8")) as ClientMessage);
      } catch (error) {
        this.fatal(describeError(error));
      }
    });
  }

  get size(): number {
    return this.queries.size;
  }

  changed(): void {
    this.hub.tell(this);
  }

  close(): void {
    clearInterval(this.pings);
    for (const query of this.queries.values()) this.release(query);
    this.queries.clear();
  }

  drop(): void {
    this.socket.terminate();
  }

  /** Sends what has changed since the last time. All results must be valid. */
  push(): void {
    const modifications: string[] = [];
    for (const queryId of this.removed) {
      modifications.push(queryRemoved(queryId));
    }
    this.removed.clear();
    for (const [queryId, query] of this.queries) {
      const outcome = "failed" in query ? query.failed : query.entry.outcome;
      if (outcome === null || outcome === query.told) continue;
      query.told = outcome;
      modifications.push(
        outcome.ok
          ? queryUpdated(queryId, outcome.json)
          : queryFailed(queryId, outcome.failure),
      );
    }
    if (modifications.length === 0 && !this.owed) return;
    this.owed = false;
    const end = { ...this.asked, ts: this.hub.engine.ts };
    const message = transitionMessage(this.told, end, modifications);
    this.told = end;
    this.hub.engine.counters.add("transitions");
    this.hub.engine.counters.add("bytesPushed", Buffer.byteLength(message));
    this.socket.send(message);
  }

  private onMessage(message: ClientMessage): void {
    switch (message.type) {
      case "Connect":
        this.sessionId = message.sessionId;
        return;
      case "ModifyQuerySet":
        this.modifyQuerySet(message);
        return;
      case "Authenticate":
        this.authenticate(message);
        return;
      case "Mutation":
        // A client's mutations run in the order in which it sent them.
        this.mutations = this.mutations.then(() => this.mutate(message));
        return;
      case "Action":
        void this.act(message);
        return;
      case "Event":
        return;
      default:
        this.fatal(
          `The local deployment does not know the message "${(message as { type: string }).type}".`,
        );
    }
  }

  private modifyQuerySet(
    message: Extract<ClientMessage, { type: "ModifyQuerySet" }>,
  ): void {
    if (message.baseVersion !== this.asked.querySet) {
      this.fatal(
        `The query set is at version ${this.asked.querySet}, not at ${message.baseVersion}.`,
      );
      return;
    }
    for (const change of message.modifications) {
      if (change.type === "Add") {
        this.hub.engine.counters.add("functionCalls");
        this.queries.set(change.queryId, this.subscribe(change));
      } else {
        const query = this.queries.get(change.queryId);
        if (query !== undefined) this.release(query);
        this.queries.delete(change.queryId);
        this.removed.add(change.queryId);
      }
    }
    this.asked.querySet = message.newVersion;
    this.owe();
  }

  private subscribe(change: {
    udfPath: string;
    args: Parameters<typeof jsonToConvex>[0][];
  }): Subscription | FailedSubscription {
    try {
      const path = this.hub.engine.publicFunction(change.udfPath, "query");
      const args = jsonToConvex(change.args[0] ?? {});
      const entry = this.hub.cache.subscribe(path, args, this.identity, this);
      return { path, args, entry, told: null };
    } catch (error) {
      return {
        failed: { ok: false, error, failure: failureOf(error) },
        told: null,
      };
    }
  }

  private release(query: Subscription | FailedSubscription): void {
    if ("failed" in query) return;
    const { entry } = query;
    for (const other of this.queries.values()) {
      if (other !== query && "entry" in other && other.entry === entry) return;
    }
    this.hub.cache.unsubscribe(entry, this);
  }

  private authenticate(
    message: Extract<ClientMessage, { type: "Authenticate" }>,
  ): void {
    if (message.baseVersion !== this.asked.identity) {
      this.fatal(
        `The identity is at version ${this.asked.identity}, not at ${message.baseVersion}.`,
      );
      return;
    }
    let identity: UserIdentity | null = null;
    if (message.tokenType !== "None") {
      try {
        identity = identityOf(message.value);
      } catch (error) {
        this.send({
          type: "AuthError",
          error: (error as Error).message,
          baseVersion: message.baseVersion,
          authUpdateAttempted: true,
        });
        return;
      }
    }
    this.identity = identity;
    this.asked.identity = message.baseVersion + 1;
    for (const query of this.queries.values()) {
      if ("failed" in query) continue;
      this.hub.cache.unsubscribe(query.entry, this);
    }
    for (const query of this.queries.values()) {
      if ("failed" in query) continue;
      const { path, args } = query;
      query.entry = this.hub.cache.subscribe(path, args, identity, this);
    }
    this.owe();
  }

  private async mutate(
    message: Extract<ClientMessage, { type: "Mutation" }>,
  ): Promise<void> {
    const { requestId, udfPath } = message;
    const { engine } = this.hub;
    const { identity } = this;
    const key = `${this.sessionId}/${requestId}`;
    const answer = await this.hub.mutate(
      key,
      async (): Promise<ServerMessage> => {
        engine.counters.add("functionCalls");
        try {
          const path = engine.publicFunction(udfPath, "mutation");
          const args = jsonToConvex(message.args[0] ?? {});
          const { value, ts } = await engine.remoteMutation(
            path,
            args,
            identity,
            key,
          );
          return {
            type: "MutationResponse",
            requestId,
            success: true,
            result: convexToJson(value),
            ts: encodeTs(ts),
            logLines: [],
          };
        } catch (error) {
          return this.failed("MutationResponse", requestId, udfPath, error);
        }
      },
    );
    this.send(answer);
    // The client takes a mutation for done when it has a Transition as new as
    // its commit.
    this.owe();
  }

  private async act(
    message: Extract<ClientMessage, { type: "Action" }>,
  ): Promise<void> {
    const { requestId, udfPath } = message;
    const { engine } = this.hub;
    engine.counters.add("functionCalls");
    try {
      const path = engine.publicFunction(udfPath, "action");
      const args = jsonToConvex(message.args[0] ?? {});
      const value = await engine.action(path, args, this.identity);
      this.send({
        type: "ActionResponse",
        requestId,
        success: true,
        result: convexToJson(value),
        logLines: [],
      });
    } catch (error) {
      this.send(this.failed("ActionResponse", requestId, udfPath, error));
    }
  }

  private failed(
    type: "MutationResponse" | "ActionResponse",
    requestId: number,
    udfPath: string,
    error: unknown,
  ): ServerMessage {
    this.hub.engine.report(udfPath, error);
    const { message, data } = failureOf(error);
    return {
      type,
      requestId,
      success: false,
      result: message,
      ...(data === undefined ? {} : { errorData: data }),
      logLines: [],
    };
  }

  private owe(): void {
    this.owed = true;
    this.hub.tell(this);
  }

  private fatal(error: string): void {
    this.send({ type: "FatalError", error });
    this.socket.close(1002, error.slice(0, 100));
  }

  private send(message: ServerMessage): void {
    if (this.socket.readyState !== this.socket.OPEN) return;
    this.socket.send(JSON.stringify(message));
  }
}
