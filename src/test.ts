/// <reference types="vite/client" />
import { componentsGeneric, internalMutationGeneric } from "convex/server";
import { v } from "convex/values";
import type { ComponentApi } from "./component/_generated/component.js";
import schema from "./component/schema.js";

const files = import.meta.glob("./component/**/*.ts");
const deadlines = "./component/deadlines.ts";

const modules: Record<string, () => Promise<unknown>> = {
  ...files,
  // Suites let the clock run until nothing is scheduled any more. No stream may
  // time out by that, as none did in tests with version 0.3.
  [deadlines]: async () => {
    const module = (await files[deadlines]?.()) as Deadlines;
    const plannedCheck = internalMutationGeneric({
      args: { at: v.number() },
      returns: v.null(),
      handler: async (ctx) => {
        await module.check(ctx, []);
        return null;
      },
    });
    return { ...module, plannedCheck };
  },
};

/** Not imported: an app's compiler would read all of the component's sources. */
interface Deadlines {
  check(ctx: unknown, ends: []): Promise<void>;
}

/**
 * Registers the component with an app under test.
 *
 * ```ts
 * const t = convexTest(schema, modules);
 * register(t);
 * ```
 *
 * `defineTestApp` of convex-test 0.0.70 takes this file's default export instead.
 *
 * @param t What `convexTest()` returned.
 * @param name The component's name in the app: the `name` of
 *   `app.use(component, { name })`, or the default.
 * @returns The component's functions, like those in the app's `components`.
 */
export function register(
  t: TestApp,
  name: string = "persistentTextStreaming",
): ComponentApi {
  t.registerComponent(name, schema, modules);
  const components = componentsGeneric() as unknown as Record<
    string,
    ComponentApi
  >;
  return components[name] as ComponentApi;
}

/** What `convexTest()` returns, with any version of convex-test. */
type TestApp = {
  registerComponent(
    name: string,
    definition: typeof schema,
    modules: Record<string, () => Promise<unknown>>,
  ): unknown;
};

/** `register` and what it registers, for tests that call `t.registerComponent` themselves. */
const component: {
  /** Registers the component with an app under test. */
  register: typeof register;
  /** The component's tables. */
  schema: typeof schema;
  /** The component's files, as `import.meta.glob` returns them. */
  modules: typeof modules;
} = { register, schema, modules };

export default component;
