/** Which stream is at a path, as an app would note it. */
import {
  mutationGeneric as mutation,
  queryGeneric as query,
} from "convex/server";
import { v } from "convex/values";

export const find = query({
  args: { path: v.string() },
  handler: async (ctx, { path }): Promise<unknown> =>
    await ctx.db
      .query("places")
      .filter((q) => q.eq(q.field("path"), path))
      .unique(),
});

export const put = mutation({
  args: { path: v.string(), streamId: v.string(), contentType: v.string() },
  handler: async (ctx, place) => {
    await ctx.db.insert("places", place);
  },
});

export const remove = mutation({
  args: { _id: v.id("places") },
  handler: (ctx, { _id }) => ctx.db.delete(_id),
});
