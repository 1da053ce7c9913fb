/** A page without a bundler: an import map leads to the package's files. */
import { Reading } from "../reading.js";
import { openDesk } from "./desk.js";

openDesk({
  read: (props) => new Reading(props.resumeUrl, props.streamId, props.text),
});
