import { test } from "vitest";
import { experiment } from "./lab.js";
import { LONG } from "./schedule.js";

test("whatever goes wrong, a long text survives", async () => {
  await experiment("Long texts", LONG, 0.15);
}, 86_400_000);
