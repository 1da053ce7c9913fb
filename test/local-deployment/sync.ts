import { clearInterval, setInterval } from "node:timers";
import type { UserIdentity } from "convex/server";
import { convexToJson, jsonToConvex, type JSONValue } from "convex/values";
import type { WebSocket } from "ws";
import type { Engine } from "./engine.js";
import { describeError, failureOf } from "./failure.js";
import { identityOf } from "./identity.js";
import type { CachedQuery, Outcome, QueryCache } from "./queries.js";

const PING_MS = 15_000;

// The messages of the sync protocol, as `convex/browser` sends them.
interface AddQuery {
  type: "Add";
  queryId: number;
  udfPath: string;
  args: JSONValue[];
}
interface CallMessage {
  type: "Mutation" | "Action";
  requestId: number;
  udfPath: string;
  args: JSONValue[];
}
type ClientMessage =
  | { type: "Connect"; sessionId: string }
  | {
      type: "ModifyQuerySet";
      newVersion: number;
      modifications: (AddQuery | { type: "Remove"; queryId: number })[];
    }
  | { type: "Authenticate"; baseVersion: number; value?: string }
  | { type: "Event" }
  | CallMessage;

/** The query set, identity and commit that a client's results belong to. */
interface StateVersion {
  querySet: number;
  identity: number;
  ts: bigint;
}

/** Timestamps are 64-bit integers, little endian, in base64. */
function encodeTs(ts: bigint): string {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(ts);
  return bytes.toString("base64");
}

/** All connected clients. It makes sure that they see the same commits. */
export class SyncHub {
  private readonly due = new Set<SyncSession>();
  private readonly answers = new Map<string, Promise<object>>();
  private isSettling = false;

  constructor(
    readonly engine: Engine,
    readonly cache: QueryCache,
  ) {}

  connect(socket: WebSocket): void {
    const session = new SyncSession(this, socket);
    const pings = setInterval(() => session.send({ type: "Ping" }), PING_MS);
    socket.on("close", () => {
      clearInterval(pings);
      this.due.delete(session);
      session.close();
    });
  }

  /** Pushes to the session once all results are up to date. */
  tell(session: SyncSession): void {
    this.due.add(session);
    this.settle();
  }

  /**
   * Brings all subscriptions up to date, then tells the clients. No mutation
   * starts meanwhile, so everything they are told belongs to one commit.
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
        // Something may have changed since the last look.
        this.settle();
      });
  }

  /**
   * Runs a client's mutation, or finds the answer that it got before its
   * connection was lost: clients send unanswered mutations again.
   */
  once(key: string, run: () => Promise<object>): Promise<object> {
    const answer = this.answers.get(key) ?? run();
    this.answers.set(key, answer);
    return answer;
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
  query: AddQuery;
  entry: CachedQuery | { outcome: Outcome };
  changed: () => void;
  told: Outcome | null;
}

/** One connection of a client. */
class SyncSession {
  private sessionId = "";
  private identity: UserIdentity | null = null;
  /** What the client has been told. */
  private told: StateVersion = { querySet: 0, identity: 0, ts: 0n };
  /** What the client has asked for. */
  private asked = { querySet: 0, identity: 0 };
  private readonly queries = new Map<number, Subscription>();
  private readonly removed = new Set<number>();
  /** The client waits for a Transition, even if nothing has changed. */
  private owed = false;
  private mutations: Promise<void> = Promise.resolve();

  constructor(
    private readonly hub: SyncHub,
    private readonly socket: WebSocket,
  ) {
    // "close" follows.
    socket.on("error", () => {});
    socket.on("message", (data: Buffer) => {
      try {
        this.onMessage(JSON.parse(data.toString("utf8")) as ClientMessage);
      } catch (error) {
        this.send({ type: "FatalError", error: describeError(error) });
        this.socket.close(1002);
      }
    });
  }

  close(): void {
    for (const queryId of this.queries.keys()) this.unsubscribe(queryId);
  }

  send(message: object): void {
    if (this.socket.readyState !== this.socket.OPEN) return;
    this.socket.send(JSON.stringify(message));
  }

  /** Sends what has changed since the last time. All results must be valid. */
  push(): void {
    // Text, because one result goes to many clients and may be large: it is encoded once.
    const modifications = [...this.removed].map((queryId) =>
      JSON.stringify({ type: "QueryRemoved", queryId }),
    );
    this.removed.clear();
    for (const [queryId, query] of this.queries) {
      const { outcome } = query.entry;
      if (outcome === null || outcome === query.told) continue;
      query.told = outcome;
      modifications.push(
        outcome.ok
          ? `{"type":"QueryUpdated","queryId":${queryId},"value":${outcome.json},"logLines":[],"journal":null}`
          : JSON.stringify({
              ...{ type: "QueryFailed", queryId, logLines: [], journal: null },
              ...failureOf(outcome.error),
            }),
      );
    }
    if (modifications.length === 0 && !this.owed) return;
    this.owed = false;
    const version = (state: StateVersion) =>
      JSON.stringify({ ...state, ts: encodeTs(state.ts) });
    const end = { ...this.asked, ts: this.hub.engine.ts };
    const message = `{"type":"Transition","startVersion":${version(this.told)},"endVersion":${version(end)},"modifications":[${modifications.join()}]}`;
    this.told = end;
    this.hub.engine.counters.bytesPushed += Buffer.byteLength(message);
    this.socket.send(message);
  }

  private onMessage(message: ClientMessage): void {
    switch (message.type) {
      case "Connect":
        this.sessionId = message.sessionId;
        return;
      case "ModifyQuerySet":
        for (const change of message.modifications) {
          if (change.type === "Add") {
            this.hub.engine.counters.functionCalls++;
            this.subscribe(change);
          } else {
            this.unsubscribe(change.queryId);
            this.removed.add(change.queryId);
          }
        }
        this.asked.querySet = message.newVersion;
        this.owe();
        return;
      case "Authenticate":
        this.identity = message.value ? identityOf(message.value) : null;
        this.asked.identity = message.baseVersion + 1;
        for (const { query, told } of [...this.queries.values()]) {
          this.unsubscribe(query.queryId);
          this.subscribe(query, told);
        }
        this.owe();
        return;
      case "Mutation":
        // A client's mutations run in the order in which it sent them.
        this.mutations = this.mutations.then(() => this.call(message));
        return;
      case "Action":
        void this.call(message);
        return;
    }
  }

  private subscribe(query: AddQuery, told: Outcome | null = null): void {
    const { engine, cache } = this.hub;
    const changed = () => this.hub.tell(this);
    let entry: Subscription["entry"];
    try {
      const path = engine.publicFunction(query.udfPath, "query");
      const args = jsonToConvex(query.args[0] ?? {});
      const call = { path, args, identity: this.identity };
      entry = cache.subscribe(call, changed);
    } catch (error) {
      entry = { outcome: { ok: false, error } };
    }
    this.queries.set(query.queryId, { query, entry, changed, told });
  }

  private unsubscribe(queryId: number): void {
    const subscription = this.queries.get(queryId);
    if (subscription === undefined) return;
    this.queries.delete(queryId);
    const { entry, changed } = subscription;
    if ("key" in entry) this.hub.cache.unsubscribe(entry, changed);
  }

  private async call(message: CallMessage): Promise<void> {
    const { type, requestId, udfPath, args } = message;
    const { engine } = this.hub;
    const { identity } = this;
    const kind = type === "Mutation" ? "mutation" : "action";
    const run = async (): Promise<object> => {
      try {
        const { value, ts } = await engine.callPublic(
          kind,
          udfPath,
          args[0],
          identity,
        );
        return { success: true, result: convexToJson(value), ts: encodeTs(ts) };
      } catch (error) {
        const { errorMessage: result, errorData } = failureOf(error);
        return { success: false, result, errorData };
      }
    };
    const answer =
      kind === "mutation"
        ? await this.hub.once(`${this.sessionId}/${requestId}`, run)
        : await run();
    this.send({ type: `${type}Response`, requestId, ...answer, logLines: [] });
    // A mutation is done for the client when it has a Transition as new as its
    // commit.
    if (kind === "mutation") this.owe();
  }

  private owe(): void {
    this.owed = true;
    this.hub.tell(this);
  }
}
