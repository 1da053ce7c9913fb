import type { Reader, ReaderProps } from "../../support/reader.js";

/** A page that a schedule runs in. */
export interface Place {
  /** Of the line, which leads to the HTTP actions. */
  siteUrl: string;
  newReader(props: ReaderProps, strict: boolean): Reader;
  /** One of the deployment's controls. */
  control<Answer>(path: string, body?: object): Promise<Answer>;
  /** Moves the page's `Date`. */
  moveClock(ms: number): void;
  /** Whether frames are painted. */
  hide(hidden: boolean): void;
}

/** The controls of the deployment at this URL. While it is down, they wait for it. */
export function controlsOf(url: string): Place["control"] {
  return async <Answer>(path: string, body?: object): Promise<Answer> => {
    for (;;) {
      let response: Response;
      try {
        response = await fetch(
          new URL(`/_local/${path}`, url),
          body && { method: "POST", body: JSON.stringify(body) },
        );
      } catch {
        await pass(50);
        continue;
      }
      const answer = (await response.json()) as Answer;
      if (!response.ok) throw new Error(JSON.stringify(answer));
      return answer;
    }
  };
}

/** A new stream. */
export async function create(place: Place): Promise<string> {
  const { value } = await place.control<{ value: string }>("run", {
    path: "chat:create",
  });
  return value;
}

/** Calls a function of the app about a stream. */
export async function call<Result>(
  place: Place,
  path: string,
  streamId: string,
  args: object = {},
): Promise<Result> {
  const { value } = await place.control<{ value: Result }>("run", {
    path,
    args: { streamId, ...args },
  });
  return value;
}

export function pass(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
