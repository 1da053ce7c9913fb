/** The entry file of Vite's React template, which the quick start does not change. */
import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import App from "../../../example/minimal/src/App";

createRoot(document.getElementById("root")!).render(
  <StrictMode>
    <App />
  </StrictMode>,
);
