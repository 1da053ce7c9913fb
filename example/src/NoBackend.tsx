/** The page without a backend's address. */
export function NoBackend() {
  return (
    <main className="px-4 pt-24">
      <div className="notice mx-auto max-w-xl">
        <h1 className="text-lg font-semibold">This page has no backend yet</h1>
        <p>
          Run <code>npm run demo</code> for a local one that needs no account,
          or <code>npm run dev</code> for a Convex deployment of your own. Then
          load this page again.
        </p>
      </div>
    </main>
  );
}
