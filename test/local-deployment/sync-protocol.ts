import type { JSONValue } from "convex/values";

/**
 * The messages of the sync protocol, as `convex/browser` speaks it over a
 * WebSocket. Timestamps are 64-bit integers, little endian, in base64.
 */
export type ClientMessage =
  | { type: "Connect"; sessionId: string; maxObservedTimestamp?: string }
  | {
      type: "ModifyQuerySet";
      baseVersion: number;
      newVersion: number;
      modifications: QueryModification[];
    }
  | { type: "Mutation"; requestId: number; udfPath: string; args: JSONValue[] }
  | { type: "Action"; requestId: number; udfPath: string; args: JSONValue[] }
  | ({ type: "Authenticate"; baseVersion: number } & Credentials)
  | { type: "Event"; eventType: string };

export type QueryModification =
  | { type: "Add"; queryId: number; udfPath: string; args: JSONValue[] }
  | { type: "Remove"; queryId: number };

export type Credentials =
  | { tokenType: "User"; value: string }
  | { tokenType: "Admin"; value: string }
  | { tokenType: "None" };

/** Which query set, which identity and which commit a client's results belong to. */
export interface StateVersion {
  querySet: number;
  identity: number;
  ts: bigint;
}

export interface Failure {
  message: string;
  /** What a `ConvexError` carries. */
  data?: JSONValue;
}

export type ServerMessage =
  | {
      type: "MutationResponse";
      requestId: number;
      success: true;
      result: JSONValue;
      ts: string;
      logLines: string[];
    }
  | {
      type: "ActionResponse";
      requestId: number;
      success: true;
      result: JSONValue;
      logLines: string[];
    }
  | {
      type: "MutationResponse" | "ActionResponse";
      requestId: number;
      success: false;
      result: string;
      errorData?: JSONValue;
      logLines: string[];
    }
  | {
      type: "AuthError";
      error: string;
      baseVersion: number;
      authUpdateAttempted: boolean;
    }
  | { type: "FatalError"; error: string }
  | { type: "Ping" };

export function encodeTs(ts: bigint): string {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(ts);
  return bytes.toString("base64");
}

/**
 * A Transition, written out. The results come as JSON text already, because
 * one result goes to many clients and is large: it is encoded once.
 */
export function transitionMessage(
  start: StateVersion,
  end: StateVersion,
  modifications: string[],
): string {
  return `{"type":"Transition","startVersion":${versionJson(start)},"endVersion":${versionJson(end)},"modifications":[${modifications.join()}]}`;
}

export function queryUpdated(queryId: number, valueJson: string): string {
  return `{"type":"QueryUpdated","queryId":${queryId},"value":${valueJson},"logLines":[],"journal":null}`;
}

export function queryFailed(queryId: number, failure: Failure): string {
  return JSON.stringify({
    type: "QueryFailed",
    queryId,
    errorMessage: failure.message,
    ...(failure.data === undefined ? {} : { errorData: failure.data }),
    logLines: [],
    journal: null,
  });
}

export function queryRemoved(queryId: number): string {
  return `{"type":"QueryRemoved","queryId":${queryId}}`;
}

function versionJson({ querySet, identity, ts }: StateVersion): string {
  return `{"querySet":${querySet},"identity":${identity},"ts":"${encodeTs(ts)}"}`;
}
