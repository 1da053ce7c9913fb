/** Vitest's set-up where React 18 takes the place of 19: for what packages load with `require`. */
import Module from "node:module";

const loader = Module as unknown as {
  _resolveFilename(request: string, ...rest: unknown[]): string;
};
const resolve = loader._resolveFilename.bind(loader);
loader._resolveFilename = (request, ...rest) =>
  resolve(request.replace(/^(react|react-dom)(?=$|\/)/, "$1-18"), ...rest);
