import { readdir } from "node:fs/promises";
import { join, sep } from "node:path";
import { pathToFileURL } from "node:url";
import {
  getFunctionAddress,
  type Crons,
  type FunctionReference,
  type GenericSchema,
  type HttpRouter,
  type SchemaDefinition,
} from "convex/server";

/** Where a function is: its component ("" for the app itself), and its path there, e.g. `chat:send`. */
export interface FunctionPath {
  componentPath: string;
  udfPath: string;
}

export type FunctionKind = "query" | "mutation" | "action";

type AnyFunctionReference = FunctionReference<
  FunctionKind,
  "public" | "internal"
>;

/** The part of what `query({…})` and the like return that is used here. */
export interface RegisteredFunction {
  isQuery?: boolean;
  isMutation?: boolean;
  isAction?: boolean;
  isPublic?: boolean;
  _handler: (ctx: unknown, args: unknown) => unknown;
  exportArgs: () => string;
  exportReturns: () => string;
}

type Module = Record<string, unknown>;

/** Wraps each function of a folder, so that the deployment sees it run. */
export type Wrap = (
  fn: RegisteredFunction,
  path: FunctionPath,
) => RegisteredFunction;

/** Like Convex, it skips names with a second dot: tests, declarations, configuration. */
const isModule = (name: string) => /^[^.]+\.[jt]s$/.test(name);

/** The functions, schema, routes and crons of an app or of a component. */
export class FunctionFolder {
  readonly schema: SchemaDefinition<GenericSchema, boolean> | null;
  readonly router: HttpRouter | null;
  readonly crons: Crons | null;
  private readonly functions = new Map<string, RegisteredFunction>();
  private readonly modules = new Map<string, Module>();

  /** Loads every module in a folder. One that throws fails the start, as it would fail a push. */
  static async load(
    directory: string,
    componentPath: string,
    wrap: Wrap,
  ): Promise<FunctionFolder> {
    const modules = new Map<string, Module>();
    const names = await readdir(directory, { recursive: true });
    for (const file of names.sort()) {
      const name = file.split(sep).join("/");
      if (!isModule(name)) continue;
      const url = pathToFileURL(join(directory, file)).href;
      const module = (await import(/* @vite-ignore */ url)) as Module;
      modules.set(name.replace(/\.[jt]s$/, ""), module);
    }
    return new FunctionFolder(componentPath, modules, wrap);
  }

  private constructor(
    private readonly componentPath: string,
    modules: Map<string, Module>,
    wrap: Wrap,
  ) {
    const described = (name: string) => modules.get(name)?.default ?? null;
    this.schema = described("schema") as typeof this.schema;
    this.router = described("http") as HttpRouter | null;
    this.crons = described("crons") as Crons | null;
    for (const [name, module] of modules) {
      this.modules.set(name, this.wrapModule(name, module, wrap));
    }
  }

  find(udfPath: string): RegisteredFunction | null {
    return this.functions.get(udfPath) ?? null;
  }

  /**
   * The modules as `convex-test` takes them: loaders by file name. It finds
   * the root by looking for a `_generated` folder, so there is one.
   */
  glob(): Record<string, () => Promise<unknown>> {
    const glob: Record<string, () => Promise<unknown>> = {
      "/_generated/root.js": () => Promise.resolve({}),
    };
    for (const [name, module] of this.modules) {
      glob[`/${name}.js`] = () => Promise.resolve(module);
    }
    return glob;
  }

  private wrapModule(name: string, module: Module, wrap: Wrap): Module {
    const wrapped: Module = { ...module };
    for (const [exportName, value] of Object.entries(module)) {
      if (!isRegisteredFunction(value)) continue;
      const fn = wrap(value, {
        componentPath: this.componentPath,
        udfPath: exportName === "default" ? name : `${name}:${exportName}`,
      });
      wrapped[exportName] = fn;
      this.functions.set(`${name}:${exportName}`, fn);
    }
    return wrapped;
  }
}

export function kindOf(fn: RegisteredFunction): FunctionKind {
  if (fn.isQuery) return "query";
  return fn.isMutation ? "mutation" : "action";
}

/** `messages.js:list` and `messages:list` are the same; no export means `default`. */
export function canonicalPath(udfPath: string): string {
  const colon = udfPath.lastIndexOf(":");
  const module = colon < 0 ? udfPath : udfPath.slice(0, colon);
  const name = colon < 0 ? "default" : udfPath.slice(colon + 1);
  return `${module.replace(/\.[jt]s$/, "")}:${name}`;
}

/** Where a reference such as `api.chat.send` or `components.x.lib.y` leads, from a component's point of view. */
export function resolveReference(
  reference: AnyFunctionReference,
  from: string,
): FunctionPath {
  return resolveAddress(getFunctionAddress(reference), from);
}

export interface FunctionAddress {
  name?: string;
  reference?: string;
  functionHandle?: string;
}

export function resolveAddress(
  { name, reference, functionHandle }: FunctionAddress,
  from: string,
): FunctionPath {
  if (name !== undefined) return { componentPath: from, udfPath: name };
  if (functionHandle !== undefined) {
    const handle = functionHandle.slice("function://".length);
    const [componentPath = "", udfPath = ""] = handle.split(";");
    return { componentPath, udfPath };
  }
  // "_reference/childComponent/<component>/<path…>/<function>"
  const [, , component = "", ...rest] = (reference ?? "").split("/");
  const functionName = rest.pop() ?? "default";
  return {
    componentPath: from === "" ? component : `${from}/${component}`,
    udfPath: `${rest.join("/")}:${functionName}`,
  };
}

function isRegisteredFunction(value: unknown): value is RegisteredFunction {
  return (
    typeof value === "function" &&
    ("isQuery" in value || "isMutation" in value || "isAction" in value) &&
    "_handler" in value
  );
}
