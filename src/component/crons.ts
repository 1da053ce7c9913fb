import { cronJobs } from "convex/server";
import { internal } from "./_generated/api.js";

const crons = cronJobs();

crons.interval(
  "end dead streams, should a planned check be lost",
  { hours: 1 },
  internal.lib.cleanupExpiredStreams,
  {},
);

export default crons;
