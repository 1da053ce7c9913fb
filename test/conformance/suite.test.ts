import { runConformanceTests } from "@durable-streams/server-conformance-tests";
import { beforeEach, expect, inject, test, type RunnerTask } from "vitest";
import { selection } from "./selection.js";

const own = "each test of the suite is run, or left out for a reason";

/** Why a test of the suite is left out; null if it is run, undefined if the selection does not know it. */
function reasonToLeaveOut(task: RunnerTask): string | null | undefined {
  const choice = selection[groupOf(task)];
  if (choice === undefined || typeof choice === "string") return choice;
  if (choice.run.includes(task.name)) return null;
  return choice.leftOut?.find(([, tests]) => tests.includes(task.name))?.[0];
}

function groupOf({ suite }: RunnerTask): string {
  if (suite === undefined) return "";
  const outer = groupOf(suite);
  return outer === "" ? suite.name : `${outer} > ${suite.name}`;
}

beforeEach(({ task, skip }) => {
  const reason = task.name === own ? null : reasonToLeaveOut(task);
  if (reason !== null) skip(reason ?? "");
});

runConformanceTests({ baseUrl: inject("conformanceUrl") });

test(own, ({ task }) => {
  const there = new Set<string>();
  const unknown: string[] = [];
  const look = (tasks: RunnerTask[]) => {
    for (const each of tasks) {
      if (each.type === "suite") look(each.tasks);
      else if (each.name !== own) {
        const name = `${groupOf(each)}: ${each.name}`;
        there.add(name);
        if (reasonToLeaveOut(each) === undefined) unknown.push(name);
      }
    }
  };
  look(task.file.tasks);
  expect(unknown).toEqual([]);

  const chosen = Object.entries(selection).flatMap(([group, choice]) =>
    typeof choice === "string"
      ? []
      : [
          ...choice.run,
          ...(choice.leftOut ?? []).flatMap(([, all]) => all),
        ].map((name) => `${group}: ${name}`),
  );
  expect(chosen.filter((name) => !there.has(name))).toEqual([]);
});
