import { ConvexError } from "convex/values";
import { Component, type ReactNode } from "react";

/** The message to show the user for an error. */
export function messageOf(error: unknown): string {
  if (error instanceof ConvexError) {
    const data: unknown = error.data;
    if (
      typeof data === "object" &&
      data !== null &&
      "message" in data &&
      typeof data.message === "string"
    ) {
      return data.message;
    }
  }
  return "Something went wrong. Please try again.";
}

/** Shows an error in place of the part of the page where it happened. */
export class ErrorBoundary extends Component<
  { children: ReactNode },
  { error: unknown }
> {
  override state: { error: unknown } = { error: null };

  static getDerivedStateFromError(error: unknown) {
    return { error };
  }

  override render() {
    if (this.state.error === null) return this.props.children;
    return (
      <div role="alert" className="notice mx-auto my-6 max-w-2xl">
        <p>{messageOf(this.state.error)}</p>
        <button
          type="button"
          className="button"
          onClick={() => this.setState({ error: null })}
        >
          Try again
        </button>
      </div>
    );
  }
}
