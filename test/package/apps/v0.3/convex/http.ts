import { httpRouter } from "convex/server";
import { streamChat } from "./chat.js";
import { write } from "./patterns.js";

const http = httpRouter();
http.route({ path: "/chat-stream", method: "POST", handler: streamChat });
http.route({ path: "/write", method: "POST", handler: write });
export default http;
