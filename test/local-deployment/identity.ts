import type { UserIdentity } from "convex/server";

const NOT_IN_IDENTITY = new Set(["sub", "iss", "aud", "exp", "iat", "nbf"]);

/**
 * The identity that a token claims. The payload of the JWT is believed as it
 * is, whoever signed it and whether or not it is signed: this is a local
 * deployment.
 *
 * @throws If the token is not a JWT with a `sub`, or has expired.
 */
export function identityOf(token: string): UserIdentity {
  const claims = claimsOf(token);
  const { sub, iss = "https://local.test", exp } = claims;
  if (typeof sub !== "string" || typeof iss !== "string") {
    throw new Error(
      "Could not parse the token: its payload has no `sub` that is a string.",
    );
  }
  if (typeof exp === "number" && exp * 1000 <= Date.now()) {
    throw new Error("Could not verify the token: it has expired.");
  }
  const identity: Record<string, unknown> = {};
  for (const [claim, value] of Object.entries(claims)) {
    if (NOT_IN_IDENTITY.has(claim)) continue;
    identity[claim] = value;
  }
  return {
    ...identity,
    subject: sub,
    issuer: iss,
    tokenIdentifier: `${iss}|${sub}`,
  };
}

/**
 * A token for a user of a local deployment. No deployment that checks
 * signatures accepts it.
 */
export function localToken(
  subject: string,
  claims: Record<string, unknown> = {},
): string {
  const issuedAt = Math.floor(Date.now() / 1000);
  const payload = {
    sub: subject,
    iss: "https://local.test",
    iat: issuedAt,
    exp: issuedAt + 3600,
    ...claims,
  };
  const encode = (part: object) =>
    Buffer.from(JSON.stringify(part)).toString("base64url");
  return `${encode({ alg: "none", typ: "JWT" })}.${encode(payload)}.`;
}

function claimsOf(token: string): Record<string, unknown> {
  const parts = token.split(".");
  if (parts.length === 3) {
    try {
      const payload = Buffer.from(parts[1]!, "base64url").toString("utf8");
      const claims: unknown = JSON.parse(payload);
      if (typeof claims === "object" && claims !== null) {
        return claims as Record<string, unknown>;
      }
    } catch {
      // Not JSON: the same answer as for anything else that is no token.
    }
  }
  throw new Error(
    "Could not parse the token: it is not a JWT (three parts, separated by dots).",
  );
}
