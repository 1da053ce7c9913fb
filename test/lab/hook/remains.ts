import type { ConvexReactClient, Watch } from "convex/react";

/** Counts what readers hold while they are mounted, and nothing after. */
export function countRemains(clients: ConvexReactClient[]) {
  const timers = new Set<unknown>();
  let watches = 0;

  const { setTimeout: set, clearTimeout: clear } = globalThis as unknown as {
    setTimeout: (
      run: (...args: unknown[]) => void,
      ...rest: unknown[]
    ) => unknown;
    clearTimeout: (timer: unknown) => void;
  };
  Object.assign(globalThis, {
    setTimeout(run: (...args: unknown[]) => void, ...rest: unknown[]) {
      // The hook's own, by who asks: others have timers of their own.
      const isOurs = /StreamReader|onNextFrame|requestFrame/.test(new Error().stack ?? "");
      if (!isOurs) return set(run, ...rest);
      const timer: unknown = set(
        (...args: unknown[]) => {
          timers.delete(timer);
          run(...args);
        },
        ...rest,
      );
      timers.add(timer);
      return timer;
    },
    clearTimeout(timer: unknown) {
      timers.delete(timer);
      clear(timer);
    },
  });

  for (const client of clients) {
    const watchQuery = client.watchQuery.bind(client) as (
      ...args: unknown[]
    ) => Watch<unknown>;
    client.watchQuery = (...args: unknown[]) => {
      const watch = watchQuery(...args);
      return {
        ...watch,
        onUpdate(listener: () => void) {
          const stop = watch.onUpdate(listener);
          watches++;
          let stopped = false;
          return () => {
            if (!stopped) watches--;
            stopped = true;
            stop();
          };
        },
      };
    };
  }
  return {
    count: () => ({ timers: timers.size, watches }),
    end: () =>
      Object.assign(globalThis, { setTimeout: set, clearTimeout: clear }),
  };
}
