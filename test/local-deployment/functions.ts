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
  private readonly modules = new Map<string, Module>();
  private readonly functions = new Map<string, RegisteredFunction>();

  /** Loads every module in a folder. One that throws fails the start, as it would fail a push. */
  static async load(
    directory: string,
    componentPath: string,
    wrap: Wrap,
  ): Promise<FunctionFolder> {
    const folder = new FunctionFolder();
    const files = await readdir(directory, { recursive: true });
    for (const file of files.sort()) {
      const fileName = file.split(sep).join("/");
      if (!isModule(fileName)) continue;
      const name = fileName.replace(/\.[jt]s$/, "");
      const url = pathToFileURL(join(directory, file)).href;
      const module = { ...((await import(/* @vite-ignore */ url)) as Module) };
      for (const [exportName, value] of Object.entries(module)) {
        if (!isRegisteredFunction(value)) continue;
        const udfPath =
          exportName === "default" ? name : `${name}:${exportName}`;
        const fn = wrap(value, { componentPath, udfPath });
        module[exportName] = fn;
        folder.functions.set(`${name}:${exportName}`, fn);
      }
      folder.modules.set(name, module);
    }
    return folder;
  }

  get schema() {
    return this.described<SchemaDefinition<GenericSchema, boolean>>("schema");
  }

  get router() {
    return this.described<HttpRouter>("http");
  }

  get crons() {
    return this.described<Crons>("crons");
  }

  find(udfPath: string): RegisteredFunction | null {
    return this.functions.get(udfPath) ?? null;
  }

  /**
   * The modules as `convex-test` takes them: loaders by file name. It finds
   * the root by looking for a `_generated` folder, so there is one.
   */
  glob(): Record<string, () => Promise<unknown>> {
    const modules = [["_generated/root", {}] as const, ...this.modules];
    return Object.fromEntries(
      modules.map(([name, module]) => [
        `/${name}.js`,
        () => Promise.resolve(module),
      ]),
    );
  }

  /** What a module of that name describes, by its default export. */
  private described<Description>(name: string): Description | null {
    return (this.modules.get(name)?.default ?? null) as Description | null;
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
