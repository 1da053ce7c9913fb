/** One reply is written, and so many follow it: what that costs. */
import type { Counters, LocalDeployment } from "../example/local/deployment.js";
import { meeting, planQuery } from "./apps/writer.js";
import { follow, type Follower } from "./followers.js";
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
  const followers = Array.from({ length: count }, () =>
    follow(deployment.url, target.follower, streamId),
  );
  await Promise.all(followers.map((follower) => follower.reached(0)));
  meeting.settled = async (progress) => {
    await Promise.all(followers.map((follower) => follower.reached(progress)));
  };
  const plan = { tokens, pace, stopClock: clock === "stopped" };
  await drive(deployment, streamId, planQuery(plan));
  await Promise.all(followers.map((follower) => follower.ended()));
  await atRest(deployment);
  const counters = deployment.counters.read();
  const characters = charactersOf(tokens);
  followers.forEach((follower) => checkComplete(follower, characters));
  await Promise.all(followers.map((follower) => follower.close()));
  return { ...counters, characters };
}

async function drive(
  { siteUrl }: LocalDeployment,
  streamId: string,
  query: string,
): Promise<void> {
  const response = await fetch(`${siteUrl}/write?${query}`, {
    method: "POST",
    body: JSON.stringify({ streamId }),
  });
  await response.text();
}

/** Waits until nothing has happened for a while: what an ended stream schedules is over. */
async function atRest({ counters }: LocalDeployment): Promise<void> {
  let before = "";
  for (;;) {
    const now = JSON.stringify(counters.read());
    if (now === before) return;
    before = now;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

function checkComplete({ progress }: Follower, characters: number): void {
  if (progress.has !== characters) {
    throw new Error(
      `A follower ended with ${progress.has} of ${characters} characters.`,
    );
  }
}
