import tailwindcss from "@tailwindcss/vite";
import react from "@vitejs/plugin-react";
import { fileURLToPath } from "node:url";
import { defineConfig } from "vite";

const here = (path: string) => fileURLToPath(new URL(path, import.meta.url));

export default defineConfig({
  root: here("."),
  // `convex dev` writes VITE_CONVEX_URL to .env.local in the project's root.
  envDir: here(".."),
  plugins: [react(), tailwindcss()],
});
