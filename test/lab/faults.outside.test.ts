import { test } from "vitest";
import { experiment } from "./lab.js";
import { MEDDLED } from "./schedule.js";

test("whoever ends or deletes it, whatever clock jumps, the text survives", async () => {
  await experiment("Others meddle", MEDDLED, 0.45);
}, 86_400_000);
