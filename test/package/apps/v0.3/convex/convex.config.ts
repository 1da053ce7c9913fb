import persistentTextStreaming from "@convex-dev/persistent-text-streaming/convex.config.js";
import withoutExtension from "@convex-dev/persistent-text-streaming/convex.config";
import { defineApp } from "convex/server";

const app = defineApp();
app.use(persistentTextStreaming);
app.use(withoutExtension, { name: "anotherOne" });
export default app;
