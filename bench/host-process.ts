/** The process of one target. */
import "./virtual-clock.js";
import { serve } from "./bench-host.js";

await serve();
