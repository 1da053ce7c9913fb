/** A page with Vue, Svelte and Solid, which follow through `ConvexClient`. */
import { ConvexClient } from "convex/browser";
import { makeFunctionReference } from "convex/server";
import { createRenderEffect, createRoot } from "solid-js";
import { mount, unmount } from "svelte";
import { createApp, h } from "vue";
import type { StreamState } from "../../../src/shared.js";
import { History } from "../../support/history.js";
import Reply from "../frameworks/Reply.svelte";
import { useStream as useSolidStream } from "../frameworks/solid.js";
import { useStream as useVueStream } from "../frameworks/vue.js";
import { openDesk, type Props } from "./desk.js";

const query = makeFunctionReference<"query">("chat:page");

type Show = (
  options: { streamId: string; url: string; driven: boolean },
  client: ConvexClient,
  target: HTMLElement,
  onShow: (shown: StreamState) => void,
) => () => unknown;

let client: ConvexClient | undefined;
/** A client that shows a stream by a framework's means; what the page shows counts, too. */
const shownBy = (show: Show) => (props: Props) => {
  client ??= new ConvexClient(props.deployment);
  const history = new History();
  const { streamId, writeUrl: url } = props;
  const options = { streamId, url, driven: true, incremental: true };
  const section = document.body.appendChild(document.createElement("section"));
  const stop = show(options, client, section, (shown) => history.note(shown));
  return {
    seen: () => ({
      text: section.textContent,
      status: section.querySelector("p")?.dataset.status ?? "",
      stepBack: history.stepBack(),
    }),
    stop,
  };
};

openDesk({
  vue: shownBy((options, client, target, onShow) => {
    const app = createApp({
      setup() {
        const reply = useVueStream(client, query, options);
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
  svelte: shownBy((options, client, target, onShow) => {
    const props = { client, query, options, onShow };
    const reply = mount(Reply, {
      target,
      props,
    });
    return () => unmount(reply);
  }),
  solid: shownBy((options, client, target, onShow) =>
    createRoot((dispose) => {
      const reply = useSolidStream(client, query, options);
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
