import "@fontsource-variable/inter";
import "@fontsource-variable/source-serif-4";
import "@fontsource-variable/source-serif-4/standard-italic.css";
import { ConvexReactClient } from "convex/react";
import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { App } from "./App";
import { convexUrl } from "./backend";
import { BackendProvider } from "./identity";
import { NoBackend } from "./NoBackend";
import "./styles.css";

const root = document.getElementById("root");
if (root === null) throw new Error("index.html has no #root.");

createRoot(root).render(
  <StrictMode>
    {convexUrl === undefined ? (
      <NoBackend />
    ) : (
      <BackendProvider client={new ConvexReactClient(convexUrl)}>
        <App />
      </BackendProvider>
    )}
  </StrictMode>,
);
