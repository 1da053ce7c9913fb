/** One reply is written, and so many follow it: what that costs. */
import type {
  Counters,
  LocalDeployment,
} from "../test/local-deployment/deployment.js";
import { meeting, planQuery } from "./apps/writer.js";
import { connect, follow, type Progress } from "./followers.js";
import { drive } from "./host-request.js";
import type { Target } from "./targets.js";
import { charactersOf } from "./texts.js";

export interface FollowingCase {
  tokens: number;
  /** Milliseconds from token to token. */
  pace: number;
  followers: number;
  /** By the real clock, or by one that stands still while the database works. */
  clock: "real" | "stopped";
}

export interface FollowingResult extends Counters {
  characters: number;
}

/** Runs in the process of the deployment. */
export async function following(
  deployment: LocalDeployment,
  target: Target,
  { tokens, pace, followers: count, clock }: FollowingCase,
): Promise<FollowingResult> {
  deployment.counters.reset();
  const streamId = (await deployment.call("streams:create")) as string;
  const clients = Array.from({ length: count }, () => connect(deployment.url));
  const followers = clients.map((client) =>
    follow(client, target.follower, streamId),
  );
  await Promise.all(followers.map((follower) => follower.reached(0)));
  meeting.settled = async (progress) => {
    await Promise.all(followers.map((follower) => follower.reached(progress)));
  };
  const plan = { tokens, pace, stopClock: clock === "stopped" };
  await drive(deployment.siteUrl, streamId, planQuery(plan));
  await Promise.all(followers.map((follower) => follower.ended()));
  meeting.settled = () => Promise.resolve();
  await atRest(deployment.counters);
  const counters = deployment.counters.read();
  const characters = charactersOf(tokens);
  for (const { progress } of followers) checkComplete(progress, characters);
  await Promise.all(clients.map((client) => client.close()));
  return { ...counters, characters };
}

/** Waits until nothing has happened for a while: what an ended stream schedules is over. */
export async function atRest(
  counters: LocalDeployment["counters"],
): Promise<void> {
  let before = "";
  for (;;) {
    const now = JSON.stringify(counters.read());
    if (now === before) return;
    before = now;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

function checkComplete(progress: Progress, characters: number): void {
  if (progress.characters !== characters) {
    throw new Error(
      `A follower ended with ${progress.characters} of ${characters} characters.`,
    );
  }
}
