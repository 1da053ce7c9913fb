// convex/custom.ts
import {
  streamBodyArgs,
  vStreamId,
} from "@convex-dev/persistent-text-streaming";
import {
  customCtx,
  customMutation,
  customQuery,
} from "convex-helpers/server/customFunctions";
import { ConvexError } from "convex/values";
import { mutation, query, type QueryCtx } from "./_generated/server";
import { streaming } from "./chat";

const signedIn = customCtx(async (ctx: QueryCtx) => {
  const identity = await ctx.auth.getUserIdentity();
  if (identity === null) throw new ConvexError("Sign in first.");
  return { userId: identity.tokenIdentifier };
});
const userQuery = customQuery(query, signedIn);
const userMutation = customMutation(mutation, signedIn);

export const getStreamBody = userQuery({
  args: streamBodyArgs,
  handler: async (ctx, { streamId, from }) => {
    await checkOwner(ctx, streamId);
    return await streaming.getStreamBody(ctx, streamId, from);
  },
});

export const abortStream = userMutation({
  args: { streamId: vStreamId },
  handler: async (ctx, { streamId }) => {
    await checkOwner(ctx, streamId);
    await streaming.abortStream(ctx, streamId);
  },
});

async function checkOwner(
  ctx: QueryCtx & { userId: string },
  streamId: string,
) {
  const message = await ctx.db
    .query("messages")
    .filter((q) => q.eq(q.field("streamId"), streamId))
    .unique();
  if (message?.owner !== ctx.userId) throw new ConvexError("Not yours.");
}
