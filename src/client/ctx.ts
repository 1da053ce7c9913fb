import type { GenericActionCtx, GenericDataModel } from "convex/server";

type ActionCtx = GenericActionCtx<GenericDataModel>;

/** The `ctx` of any query, mutation or action. */
export type RunQueryCtx = Pick<ActionCtx, "runQuery">;

/** The `ctx` of any mutation or action. */
export type RunMutationCtx = Pick<ActionCtx, "runMutation">;

/** The `ctx` of any action. A writer looks at its stream between two saves. */
export type RunActionCtx = RunQueryCtx & RunMutationCtx;
