import { expect, test } from "vitest";
import { subscription, withdrawn } from "./reader.js";

test.each([
  ["unsent", "open"],
  ["asked", "as it is"],
  ["flowing", "close"],
  ["silent", "open"],
  ["lost", "open"],
  ["over", "open"],
] as const)("while the request is %s: %s", (http, then) => {
  expect(subscription(http)).toBe(then);
});

test.each([
  ["unsent", 0, "unsent"],
  ["asked", 0, "unsent"],
  ["silent", 0, "unsent"],
  ["lost", 0, "unsent"],
  ["flowing", 5, "over"],
  ["silent", 5, "over"],
  ["over", 5, "over"],
  ["over", 0, "over"],
] as const)(
  "a request that is %s, with %i characters received, is withdrawn: %s",
  (http, received, then) => {
    expect(withdrawn(http, received)).toBe(then);
  },
);
