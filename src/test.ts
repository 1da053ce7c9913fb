/// <reference types="vite/client" />
import type { TestConvex } from "convex-test";
import type { GenericSchema, SchemaDefinition } from "convex/server";
import schema from "./component/schema.js";

const modules = import.meta.glob("./component/**/*.ts");

/**
 * Registers the component with an app under test.
 *
 * ```ts
 * const t = convexTest(schema, modules);
 * register(t);
 * ```
 *
 * @param t What `convexTest()` returned.
 * @param name The name under which the app uses the component: the `name` of
 *   `app.use(component, { name })`, or its default.
 */
export function register(
  t: TestConvex<SchemaDefinition<GenericSchema, boolean>>,
  name: string = "persistentTextStreaming",
) {
  t.registerComponent(name, schema, modules);
}

/** `register`, and what it registers: for tests that call `t.registerComponent` themselves. */
const component: {
  /** Registers the component with an app under test. */
  register: typeof register;
  /** The component's tables. */
  schema: typeof schema;
  /** The component's files, as `import.meta.glob` gives them. */
  modules: typeof modules;
} = { register, schema, modules };

export default component;
