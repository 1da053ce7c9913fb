export { http as default } from "./streams.js";
