import { readdir } from "node:fs/promises";
import { join, resolve, sep } from "node:path";
import { pathToFileURL } from "node:url";
import type {
  Crons,
  GenericSchema,
  HttpRouter,
  SchemaDefinition,
  UserIdentity,
} from "convex/server";
import type { Value } from "convex/values";

// In jsdom, Vite would make a URL of the page's server of `new URL("../..", import.meta.url)`.
const repository = join(import.meta.dirname, "../..");

/** A path in this repository, or an absolute one. */
export const projectPath = (path: string) => resolve(repository, path);

/** Where a function is: its component ("" for the app itself), and its path there, e.g. `chat:send`. */
export interface FunctionPath {
  componentPath: string;
  udfPath: string;
}

/** What is called, with what, and by whom. */
export interface Call {
  path: FunctionPath;
  args: Value;
  identity: UserIdentity | null;
}

export type FunctionKind = "query" | "mutation" | "action";

/** The part of what `query({…})` and the like return that is used here. */
export interface RegisteredFunction {
  isQuery?: boolean;
  isMutation?: boolean;
  isAction?: boolean;
  isPublic?: boolean;
  _handler: (ctx: unknown, args: unknown) => unknown;
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

  /** Loads every module in a folder. One that throws fails the start, as it would fail a push. */
  static async load(
    directory: string,
    componentPath: string,
    wrap: Wrap,
  ): Promise<FunctionFolder> {
    const folder = new FunctionFolder();
    const root = projectPath(directory);
    const files = await readdir(root, { recursive: true });
    for (const file of files.sort()) {
      const fileName = file.split(sep).join("/");
      if (!isModule(fileName)) continue;
      const name = fileName.replace(/\.[jt]s$/, "");
      const url = pathToFileURL(join(root, file)).href;
      const module = { ...((await import(/* @vite-ignore */ url)) as Module) };
      for (const [exportName, value] of Object.entries(module)) {
        if (!isRegisteredFunction(value)) continue;
        const udfPath = `${name}:${exportName}`;
        module[exportName] = wrap(value, { componentPath, udfPath });
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
    const [module = "", name = "default"] = udfPath.split(":");
    const found = this.modules.get(module)?.[name];
    return isRegisteredFunction(found) ? found : null;
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

/** Where a handle leads that `convex-test` has made: `function://<component>;<path>`. */
export function pathOf(handle: string): FunctionPath {
  const [componentPath = "", udfPath = ""] = handle
    .slice("function://".length)
    .split(";");
  return { componentPath, udfPath };
}

function isRegisteredFunction(value: unknown): value is RegisteredFunction {
  return (
    value instanceof Object &&
    "_handler" in value &&
    ("isQuery" in value || "isMutation" in value || "isAction" in value)
  );
}
