import { defineComponent, type ComponentDefinition } from "convex/server";

// The type is written out so that it means the same with each version of
// convex: the one that is inferred has as many parameters as the version here.
const component: ComponentDefinition = defineComponent(
  "persistentTextStreaming",
);
export default component;
