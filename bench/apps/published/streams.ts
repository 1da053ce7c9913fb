import { componentsGeneric } from "convex/server";
import { PersistentTextStreaming } from "persistent-text-streaming-published";
import { streamsApp } from "../streams.js";

type Component = ConstructorParameters<typeof PersistentTextStreaming>[0];

const components = componentsGeneric() as unknown as {
  persistentTextStreaming: Component;
};

export const { create, body, http } = streamsApp(
  new PersistentTextStreaming(components.persistentTextStreaming) as never,
);
