/** What can go wrong in a run, by the names that the report calls it by. */
export const faults = [
  "call refused",
  "call slow",
  "call done, its answer lost",
  "call done after its caller was told that it failed",
  "nothing can be saved any more",
  "writer's action died",
  "writer's action died between a commit and its answer",
  "resume's action died",
  "several callers at one time",
  "another caller after the writer's action had died",
  "body cut",
  "body cut inside a character",
  "connection silent",
  "client gone",
  "look of a reader refused",
  "clock set back",
  "clock set forward",
  "stall",
  "cron while the writer was at work",
  "abort while the writer was at work",
  "deletion while the writer was at work",
  "status set while the writer was at work",
  "deletion of an ended stream",
  "second deletion",
  "last words after the end",
  "scheduled function late",
  "writer threw",
  "writer ignored its signal",
  "text of more than one document",
] as const;
export type Fault = (typeof faults)[number];

/** What did happen in one run, not what was planned. */
export type Happenings = Set<Fault>;
