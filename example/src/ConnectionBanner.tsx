import { useConvexConnectionState } from "convex/react";
import { WifiOff } from "lucide-react";

/**
 * Says when the backend cannot be reached. The client reconnects by itself, and
 * subscriptions catch up.
 */
export function ConnectionBanner() {
  const connection = useConvexConnectionState();
  // The first attempt is not a failure yet, and neither is a blip that one retry fixes.
  const lost =
    !connection.isWebSocketConnected &&
    (connection.hasEverConnected || connection.connectionRetries > 1);
  return (
    <div role="status" className="absolute inset-x-0 top-14 z-10 md:top-3">
      {lost ? (
        <p className="mx-auto flex w-fit max-w-[calc(100%-2rem)] items-center gap-2.5 rounded-xl border border-border bg-card px-4 py-2 text-sm shadow-lg">
          <WifiOff size={16} className="shrink-0 text-danger" aria-hidden />
          <span>
            <strong className="font-semibold">Connection lost.</strong>{" "}
            Reconnecting. Everything saved is safe.
          </span>
        </p>
      ) : null}
    </div>
  );
}
