/** A page with Vue, Svelte and Solid, which follow through `ConvexClient`. */
import { ConvexClient } from "convex/browser";
import { makeFunctionReference } from "convex/server";
import { createRenderEffect, createRoot } from "solid-js";
import { mount, unmount } from "svelte";
import { createApp, h } from "vue";
import { useStream as useSolidStream } from "wrapper:solid-js";
import { useStream as useVueStream } from "wrapper:vue";
import type { StreamState } from "../../../src/shared.js";
import { History } from "../../support/history.js";
import { openDesk, type Props } from "./desk.js";
import Reply from "./Reply.svelte";

/** What a component gets: the arguments of `useStream`, and whom to tell what it shows. */
interface Wrapped {
  client: ConvexClient;
  query: unknown;
  options: object;
  onShow: (shown: StreamState) => void;
}

let client: ConvexClient | undefined;
/** Shows a stream by a framework's means. What the page displays counts, too. */
const shownBy =
  (show: (wrapped: Wrapped, target: HTMLElement) => () => unknown) =>
  ({ deployment, streamId, writeUrl: url }: Props) => {
    client ??= new ConvexClient(deployment);
    const history = new History();
    const target = document.body.appendChild(document.createElement("section"));
    const query = makeFunctionReference<"query">("chat:page");
    const options = { streamId, url, driven: true, incremental: true };
    const onShow = (shown: StreamState) => history.note(shown);
    const stop = show({ client, query, options, onShow }, target);
    return {
      seen: () => ({
        text: target.textContent,
        status: target.querySelector("p")?.dataset.status ?? "",
        stepBack: history.stepBack(),
      }),
      stop,
    };
  };

openDesk({
  vue: shownBy(({ client, query, options, onShow }, target) => {
    const app = createApp({
      setup() {
        const reply: { value: StreamState } = useVueStream(
          client,
          query,
          options,
        );
        return () => {
          const { text, status } = reply.value;
          onShow(reply.value);
          return h("p", { "data-status": status }, text);
        };
      },
    });
    app.mount(target);
    return () => app.unmount();
  }),
  svelte: shownBy((props, target) => {
    const reply = mount(Reply, { target, props });
    return () => unmount(reply);
  }),
  solid: shownBy(({ client, query, options, onShow }, target) =>
    createRoot((dispose) => {
      const reply: () => StreamState = useSolidStream(client, query, options);
      const line = target.appendChild(document.createElement("p"));
      createRenderEffect(() => {
        onShow(reply());
        line.textContent = reply().text;
        line.dataset.status = reply().status;
      });
      return dispose;
    }),
  ),
});
