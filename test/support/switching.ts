import type {
  Source,
  StreamReader,
  View,
  Watcher,
} from "../../src/browser/stream-reader.js";
import {
  addWatcher,
  readerFor,
  removeWatcher,
} from "../../src/browser/watch-stream.js";
import { History } from "./history.js";

/** A component without React: it switches between readers in the order in which `useStream` does. */
export class SwitchingComponent {
  readonly history = new History();
  private reader: StreamReader | undefined;
  private readonly watcher: Watcher = {
    source: null,
    onChange: (reader) => this.show(reader),
  };

  constructor(
    public client: { watchQuery: Parameters<typeof readerFor>[1] },
    private source: Source,
    private readonly onShow: (view: View) => void = () => {},
  ) {
    this.update();
  }

  /** Renders again. */
  update(changes: Partial<Source> = {}, client = this.client): void {
    this.client = client;
    this.source = { ...this.source, ...changes };
    const { source, watcher, reader } = this;
    const next = readerFor(client as object, client.watchQuery, source, reader);
    if (next !== reader) {
      this.show(next);
      removeWatcher(watcher);
      addWatcher(next, watcher);
    }
    watcher.source = source;
    watcher.reader!.update(watcher);
  }

  /** What the app's query threw, if that is shown. */
  get thrown(): unknown {
    return this.reader?.view.thrown ?? null;
  }

  unmount(): void {
    removeWatcher(this.watcher);
  }

  /** Shows what it showed before, as an <Activity> does. */
  showAgain(): void {
    addWatcher(this.reader!, this.watcher);
    this.update();
  }

  private show(reader: StreamReader): void {
    this.reader = reader;
    this.history.note(reader.view.snapshot);
    this.onShow(reader.view);
  }
}
