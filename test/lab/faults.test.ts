import { test } from "vitest";
import { experiment } from "./lab.js";
import { ALONE } from "./schedule.js";

test("whatever fails, dies or breaks, the text survives", async () => {
  await experiment("Nobody meddles", ALONE, 0.4);
}, 86_400_000);
