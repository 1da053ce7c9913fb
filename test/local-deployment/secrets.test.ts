// @vitest-environment node
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { story } from "../support/story.js";
import { startDeployment, type LocalDeployment } from "./deployment.js";

const METHODS = ["log", "info", "warn", "error", "debug"] as const;
const SECRET = "open-sesame";
const TOKEN = [{ alg: "none" }, { sub: SECRET, password: SECRET }, { SECRET }]
  .map((part) => Buffer.from(JSON.stringify(part)).toString("base64url"))
  .join(".");

let deployment: LocalDeployment;
const lines: string[] = [];
beforeAll(async () => {
  for (const method of METHODS) {
    vi.spyOn(console, method).mockImplementation((...said: unknown[]) => {
      lines.push(...said.map((part) => describe(part)));
    });
  }
  deployment = await startDeployment({
    functionsDir: "test/support/app",
    log: (line) => lines.push(line),
  });
});
afterAll(async () => {
  await deployment.stop();
  vi.restoreAllMocks();
});

/** As a console shows it: with the stack of an error, and its causes. */
function describe(said: unknown): string {
  if (!(said instanceof Error)) return String(said);
  return `${said.stack} ${said.cause === undefined ? "" : describe(said.cause)}`;
}

async function drive(
  options: Record<string, string | number>,
  token = TOKEN,
): Promise<string> {
  const streamId = (await deployment.call("chat:create")) as string;
  const url = new URL("/write", deployment.siteUrl);
  url.searchParams.set("sentences", "8");
  url.searchParams.set("key", SECRET);
  for (const [name, value] of Object.entries(options)) {
    url.searchParams.set(name, String(value));
  }
  const response = await fetch(url, {
    method: "POST",
    headers: { Authorization: `Bearer ${token}`, "X-Extra": SECRET },
    body: JSON.stringify({ streamId }),
  });
  await response.text().catch(() => "");
  return streamId;
}

test("no log contains a token or a text, however a stream ends", async () => {
  await drive({});
  const failed = await drive({ failAt: 20 });
  // The database refuses for a while, and answers get lost.
  deployment.faults.set({ only: "lib:", refuseCommits: 3 });
  await drive({ delay: 5 });
  deployment.faults.set({ loseAnswers: 3 });
  await drive({ delay: 5 });
  // The claim cannot be made: the action fails.
  deployment.faults.set({ only: "lib:claim", refuseCommits: 1e9 });
  await drive({});
  deployment.faults.set({ refuseCommits: 0 });
  // Dead in mid-stream.
  const killed = drive({ delay: 20 });
  await vi.waitFor(() => expect(deployment.open().actions).toBe(1), {
    timeout: 30_000,
  });
  deployment.faults.killActions();
  await killed;
  // Something that is not a token, a stream or JSON.
  await drive({}, SECRET);
  for (const body of [`{"streamId":"${SECRET}"}`, `{${SECRET}`]) {
    const url = new URL("/write?sentences=8", deployment.siteUrl);
    await (await fetch(url, { method: "POST", body })).text();
  }
  await fetch(new URL("/api/query", deployment.url), {
    method: "POST",
    headers: { Authorization: `Bearer ${SECRET}` },
    body: JSON.stringify({ path: "chat:body", args: { streamId: failed } }),
  });

  const log = lines.join("\n");
  // It does say what went wrong, and with which stream.
  expect(log).toContain(`Stream ${failed} ended with an error`);
  expect(log).toContain("was killed");
  expect(log).not.toContain(SECRET);
  for (const part of TOKEN.split(".")) expect(log).not.toContain(part);
  for (const sentence of story(8).split(". ").filter(Boolean)) {
    expect(log).not.toContain(sentence);
  }
}, 30_000);
