/** The entry file of Vite's template for React, which the quick start leaves as it is. */
import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import App from "../../../example/minimal/src/App";

createRoot(document.getElementById("root")!).render(
  <StrictMode>
    <App />
  </StrictMode>,
);
