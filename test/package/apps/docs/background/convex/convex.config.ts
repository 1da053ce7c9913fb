// convex/convex.config.ts
import actionRetrier from "@convex-dev/action-retrier/convex.config";
import persistentTextStreaming from "@convex-dev/persistent-text-streaming/convex.config";
import { defineApp } from "convex/server";

const app = defineApp();
app.use(actionRetrier);
app.use(persistentTextStreaming);

export default app;
