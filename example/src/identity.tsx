import {
  ConvexProvider,
  ConvexProviderWithAuth,
  type ConvexReactClient,
} from "convex/react";
import type { ReactNode } from "react";
import { isLocal } from "./backend";

/*
 * Who the user is.
 *
 * With a real provider this file is a few lines. For Clerk, wrap the app in
 * `<ConvexProviderWithClerk client={client} useAuth={useAuth}>`, and use
 * `await getToken({ template: "convex" })` as the token for the HTTP action.
 *
 * The demo creates a guest for each browser. Its token is not signed, so only the
 * local deployment accepts it. On a deployment of your own without auth, no token
 * is sent, and everyone who opens the page shares one anonymous account.
 */

const STORAGE_KEY = "persistent-text-streaming:user";

function localUser(): string {
  const known = localStorage.getItem(STORAGE_KEY);
  if (known !== null) return known;
  const made = crypto.randomUUID();
  localStorage.setItem(STORAGE_KEY, made);
  return made;
}

function unsignedToken(): string {
  const now = Math.floor(Date.now() / 1000);
  const part = (content: object) =>
    btoa(JSON.stringify(content))
      .replaceAll("+", "-")
      .replaceAll("/", "_")
      .replaceAll("=", "");
  const header = part({ alg: "none", typ: "JWT" });
  const claims = part({
    iss: "https://local.invalid",
    sub: localUser(),
    name: "Local user",
    iat: now,
    exp: now + 30 * 24 * 60 * 60,
  });
  return `${header}.${claims}.`;
}

function useLocalAuth() {
  return localAuth;
}
const localAuth = {
  isLoading: false,
  isAuthenticated: true,
  fetchAccessToken: () => Promise.resolve(unsignedToken()),
};

/** Provides a client that acts for the user. */
export function BackendProvider(props: {
  client: ConvexReactClient;
  children: ReactNode;
}) {
  return isLocal ? (
    <ConvexProviderWithAuth client={props.client} useAuth={useLocalAuth}>
      {props.children}
    </ConvexProviderWithAuth>
  ) : (
    <ConvexProvider client={props.client}>{props.children}</ConvexProvider>
  );
}

/** For the `Authorization` header of a request to an HTTP action. */
export const authToken = isLocal ? unsignedToken() : undefined;
