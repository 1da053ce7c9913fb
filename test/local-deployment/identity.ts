import type { UserIdentity } from "convex/server";

/**
 * Reads the identity from a token. The signature of the JWT is not checked, because
 * this deployment is only for demos and tests.
 *
 * @throws If the token is not a JWT with a `sub`.
 */
export function identityOf(token: string): UserIdentity {
  let claims: Record<string, unknown> = {};
  try {
    const [, payload = ""] = token.split(".");
    claims = JSON.parse(
      Buffer.from(payload, "base64url").toString(),
    ) as typeof claims;
  } catch {
    // The same error as for any other token without a `sub`.
  }
  const { sub: subject, iss: issuer = "https://local.test", ...rest } = claims;
  if (typeof subject !== "string" || typeof issuer !== "string") {
    throw new Error(
      "Could not parse the token: expected a JWT whose payload has a `sub`.",
    );
  }
  const tokenIdentifier = `${issuer}|${subject}`;
  return { ...rest, subject, issuer, tokenIdentifier };
}
