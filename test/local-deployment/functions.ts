import { readdir } from "node:fs/promises";
import { join, relative, sep } from "node:path";
import { pathToFileURL } from "node:url";
import {
  getFunctionAddress,
  type Crons,
  type FunctionReference,
  type GenericSchema,
  type HttpRouter,
  type SchemaDefinition,
} from "convex/server";

/** A function's place: its component (the app itself is ""), and its path there, e.g. `chat:send`. */
export interface FunctionPath {
  componentPath: string;
  udfPath: string;
}

export type FunctionKind = "query" | "mutation" | "action";

type AnyFunctionReference = FunctionReference<
  FunctionKind,
  "public" | "internal"
>;

/** What `query({…})` and its kin export, as far as it matters here. */
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

/** The functions, schema, routes and crons of an app or of a component. */
export class FunctionFolder {
  readonly componentPath: string;
  readonly schema: SchemaDefinition<GenericSchema, boolean> | null;
  readonly router: HttpRouter | null;
  readonly crons: Crons | null;
  private readonly functions = new Map<string, RegisteredFunction>();
  private readonly modules = new Map<string, Module>();

  /**
   * Lists a folder and loads every module in it. A module that throws while it
   * is loaded fails the start, as it would fail a push.
   */
  static async load(
    directory: string,
    componentPath: string,
    wrap: Wrap,
  ): Promise<FunctionFolder> {
    const modules = new Map<string, Module>();
    for (const file of await moduleFiles(directory)) {
      const name = relative(directory, file).split(sep).join("/");
      const url = pathToFileURL(file).href;
      const module = (await import(/* @vite-ignore */ url)) as Module;
      modules.set(name.replace(/\.[jt]s$/, ""), module);
    }
    return new FunctionFolder(componentPath, modules, wrap);
  }

  private constructor(
    componentPath: string,
    modules: Map<string, Module>,
    wrap: Wrap,
  ) {
    this.componentPath = componentPath;
    this.schema = (modules.get("schema")?.default ??
      null) as typeof this.schema;
    this.router = (modules.get("http")?.default ?? null) as HttpRouter | null;
    this.crons = (modules.get("crons")?.default ?? null) as Crons | null;
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
    const wrapped: Module = {};
    for (const [exportName, value] of Object.entries(module)) {
      if (!isRegisteredFunction(value)) {
        wrapped[exportName] = value;
        continue;
      }
      const path = {
        componentPath: this.componentPath,
        udfPath: exportName === "default" ? name : `${name}:${exportName}`,
      };
      const fn = wrap(value, path);
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

async function moduleFiles(directory: string): Promise<string[]> {
  const entries = await readdir(directory, {
    recursive: true,
    withFileTypes: true,
  });
  return entries
    .filter((entry) => entry.isFile() && isModule(entry.name))
    .map((entry) => join(entry.parentPath, entry.name))
    .sort();
}

/** Like Convex, it skips files with two dots, such as `convex.config.ts` and `chat.test.ts`. */
const isModule = (file: string) => /^[^.]+\.[jt]s$/.test(file);

function isRegisteredFunction(value: unknown): value is RegisteredFunction {
  return (
    typeof value === "function" &&
    ("isQuery" in value || "isMutation" in value || "isAction" in value) &&
    "_handler" in value
  );
}
