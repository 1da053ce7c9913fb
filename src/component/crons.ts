import { cronJobs } from "convex/server";
import { internal } from "./_generated/api.js";

const crons = cronJobs();

crons.interval(
  "time out streams whose writer has died",
  { minutes: 1 },
  internal.lib.cleanupExpiredStreams,
  {},
);

export default crons;
