/** The wrapper that docs/clients.md shows for a framework. `serve.ts` bundles it. */
declare module "wrapper:*" {
  /** Each framework returns the stream's state in its own way. */
  export const useStream: (...args: unknown[]) => never;
}
