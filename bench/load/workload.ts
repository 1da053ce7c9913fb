/** Many streams at once, each with several readers, one stream after the other. */
import type { ConvexReactClient } from "convex/react";
import { makeFunctionReference } from "convex/server";
import { readStream, watchStream } from "../../src/browser/index.js";
import { isFinal } from "../../src/shared.js";
import { connect } from "../followers.js";
import { withHost, type Host } from "../bench-host.js";
import { LagBoard } from "./lag.js";
import { memory, type Memory } from "../../test/local-deployment/memory.js";
import { isWhole } from "./sentences.js";

export interface LoadCase {
  /** How many are written at once. */
  streams: number;
  /** How many subscriptions follow them, over how many connections. */
  followers: number;
  connections: number;
  /** How many of the streams are also read over HTTP, by `readStream`. */
  resumers: number;
  /** How long a stream is, and how many ms lie between its sentences. */
  sentences: number;
  every: number;
  /** For how long (s) a new stream begins where one has ended. */
  seconds: number;
}

/** Who has read a stream to its end, what text that is, and the status. */
type Reading = [who: string, text: string, status: string];

export interface Sample {
  /** Seconds since the beginning. */
  at: number;
  deployment: Memory;
  readers: Memory;
}

export interface LoadResult {
  /** How many streams were written, and by how many readers each was read to its end. */
  streams: number;
  readings: number;
  /** Who did not have the exact text, or the status `done`, in the end. */
  problems: string[];
  /** From when a sentence was written to when a follower showed it (ms). */
  lag: { p50: number; p99: number; max: number };
  /** As it was before the first stream, while streams were written, and after the last was deleted. */
  before: Sample;
  during: Sample[];
  after: Sample;
}

const sleep = (ms: number) => new Promise((goOn) => setTimeout(goOn, ms));

export async function load(
  what: LoadCase,
  report: (line: string) => void = () => {},
): Promise<LoadResult> {
  return withHost("ours", (host) => new Load(host, what, report).run());
}

class Load {
  private readonly begin = Date.now();
  private clients: ConvexReactClient[] = [];
  private readonly lag = new LagBoard();
  private readonly problems: string[] = [];
  private streams = 0;
  private readings = 0;

  constructor(
    private readonly host: Host,
    private readonly what: LoadCase,
    private readonly report: (line: string) => void,
  ) {}

  async run(): Promise<LoadResult> {
    const { streams, connections, seconds, sentences, every } = this.what;
    const { url } = this.host;
    // One stream first: what is loaded only then is not what grows.
    await this.slot(0, 2);
    this.clients = Array.from({ length: connections }, () => connect(url));
    const before = await this.sample();
    const until = Date.now() + seconds * 1000;
    const spread = Math.min(sentences * every, seconds * 1000) / 2;
    const during: Sample[] = [];
    const pause = Math.max(1000, (seconds * 1000) / 60);
    const sampling = (async () => {
      while (Date.now() < until) {
        await sleep(pause);
        during.push(await this.sample());
      }
    })();
    await Promise.all(
      Array.from({ length: streams }, async (_, slot) => {
        // Spread over half the time that a stream takes: some end while others are written.
        await sleep((slot / streams) * spread);
        do await this.slot(slot);
        while (Date.now() < until);
      }),
    );
    await sampling;
    await Promise.all(this.clients.map((client) => client.close()));
    this.clients = [];
    const after = await this.sample();
    return {
      streams: this.streams,
      readings: this.readings,
      problems: this.problems,
      lag: this.lag.percentiles(),
      before,
      during,
      after,
    };
  }

  /** One stream, from its creation to its deletion. */
  private async slot(
    slot: number,
    sentences = this.what.sentences,
  ): Promise<void> {
    const { followers, streams, resumers } = this.what;
    const streamId = (await this.host.call("streams:create")) as string;
    const each = Math.floor(followers / streams);
    const readers: Promise<Reading>[] = [];
    for (let i = 0; i < each && this.clients.length > 0; i++) {
      // The followers of a stream are on connections of their own.
      const client = this.clients[(slot * each + i) % this.clients.length]!;
      readers.push(this.follow(client, streamId));
    }
    if (slot < resumers) readers.push(this.resume(streamId));
    const driven = this.drive(streamId, sentences);
    const read = await Promise.all(readers);
    const whole = await driven;
    if (whole !== null) read.push(whole);
    const saved = (await this.host.call("streams:body", { streamId })) as {
      text: string;
      status: string;
    };
    if (saved.status !== "done" || !isWhole(saved.text, streamId, sentences)) {
      this.problem(streamId, "what is saved", saved.text, saved.status);
    }
    for (const [who, text, status] of read) {
      if (text !== saved.text || status !== "done") {
        this.problem(streamId, who, text, status);
      }
    }
    await this.host.call("streams:remove", { streamId });
    this.streams++;
    this.readings += read.length;
  }

  private follow(
    client: ConvexReactClient,
    streamId: string,
  ): Promise<Reading> {
    const reader = watchStream(
      client,
      makeFunctionReference<"query">("streams:page"),
      { streamId, incremental: true },
    );
    let length = 0;
    return new Promise((resolve) => {
      reader.subscribe(() => {
        const { text, status } = reader.getSnapshot();
        this.lag.note(text.slice(length), Date.now());
        length = this.lag.wholeLength(text);
        if (!isFinal(status)) return;
        reader.close();
        resolve(["a follower", text, status]);
      });
    });
  }

  private async resume(streamId: string): Promise<Reading> {
    const url = `${this.host.siteUrl}/resume`;
    const stream = readStream(url, { streamId });
    let text = "";
    for await (const piece of stream) text += piece;
    return ["readStream", text, stream.status];
  }

  /** Asks for a stream as a browser does; null if the connection broke on a machine that is at its limit. */
  private async drive(
    streamId: string,
    sentences: number,
  ): Promise<Reading | null> {
    const { every } = this.what;
    const url = `${this.host.siteUrl}/say?sentences=${sentences}&every=${every}`;
    const body = JSON.stringify({ streamId });
    for (;;) {
      try {
        const response = await fetch(url, { method: "POST", body });
        // The writer was begun by a request whose answer did not come.
        if (response.status === 205) return null;
        return ["who drives", await response.text(), "done"];
      } catch {
        await sleep(1000);
      }
    }
  }

  private problem(
    streamId: string,
    who: string,
    text: string,
    status: string,
  ): void {
    const line = `Stream ${streamId}: ${who} has ${text.length} characters, ${status}`;
    this.report(line);
    this.problems.push(line);
  }

  private async sample(): Promise<Sample> {
    const at = Math.round((Date.now() - this.begin) / 1000);
    const readers = await memory();
    const deployment = await this.host.memory();
    const MB = (bytes: number) => `${Math.round(bytes / 1e6)} MB`;
    const { p50, p99 } = this.lag.percentiles();
    this.report(
      `${at} s: ${this.streams} streams read to their end; deployment ${MB(deployment.rss)} (heap ${MB(deployment.heap)}), readers ${MB(readers.rss)} (heap ${MB(readers.heap)}); lag p50 ${p50} ms, p99 ${p99} ms; ${this.problems.length} problems`,
    );
    return { at, deployment, readers };
  }
}
