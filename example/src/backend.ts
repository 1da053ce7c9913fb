// From the environment: `convex dev` writes these to .env.local, and
// `npm run demo` sets them for the local deployment.
const env = import.meta.env as {
  VITE_CONVEX_URL?: string;
  VITE_CONVEX_SITE_URL?: string;
  VITE_LOCAL_DEPLOYMENT?: string;
  VITE_MODEL_URL?: string;
};

/** Where queries and mutations go; `undefined` if the page has no backend yet. */
export const convexUrl = env.VITE_CONVEX_URL;

/** Where HTTP actions are served. In the cloud this follows from `convexUrl`. */
const siteUrl =
  env.VITE_CONVEX_SITE_URL ??
  convexUrl?.replace(/\.convex\.cloud\/?$/, ".convex.site");

/**
 * Whether the backend is the demo's local deployment. It accepts unsigned guest
 * tokens, and can be told to misbehave.
 */
export const isLocal = env.VITE_LOCAL_DEPLOYMENT === "true";

/** The fake model's endpoint, whose pace can be set. Absent with a real model. */
export const modelUrl = env.VITE_MODEL_URL;

export function siteAddress(path: string): URL {
  return new URL(path, siteUrl);
}
