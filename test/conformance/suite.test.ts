import { runConformanceTests } from "@durable-streams/server-conformance-tests";
import { beforeEach, expect, inject, test, type RunnerTask } from "vitest";
import { leftOut } from "./left-out.js";

const own = "all names that are left out exist";

/** The full names of a task and of the groups it is in. */
function pathsOf(task: RunnerTask): string[] {
  const outer = task.suite === undefined ? [] : pathsOf(task.suite);
  const last = outer.at(-1);
  return [...outer, last === undefined ? task.name : `${last} > ${task.name}`];
}

beforeEach(({ task, skip }) => {
  const paths = pathsOf(task);
  for (const [reason, names] of Object.entries(leftOut)) {
    if (names.some((name) => paths.includes(name))) skip(reason);
  }
});

runConformanceTests({ baseUrl: inject("conformanceUrl") });

test(own, ({ task }) => {
  const there = new Set<string>();
  const look = (tasks: RunnerTask[]) => {
    for (const each of tasks) {
      for (const path of pathsOf(each)) there.add(path);
      if (each.type === "suite") look(each.tasks);
    }
  };
  look(task.file.tasks);
  const names = Object.values(leftOut).flat();
  expect(names.filter((name) => !there.has(name))).toEqual([]);
});
