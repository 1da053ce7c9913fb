// convex/convex.config.ts
import streaming from "@convex-dev/persistent-text-streaming/convex.config";
import { defineApp } from "convex/server";

const app = defineApp();
app.use(streaming);
export default app;
