import { useState, type ReactNode } from "react";

/** A button that acts when it is pressed a second time. A double click only asks. */
export function ConfirmButton(props: {
  label: string;
  /** What the button says after the first press. */
  question: string;
  icon: ReactNode;
  className?: string;
  onConfirm: () => void;
}) {
  const [asking, setAsking] = useState(false);
  return (
    <button
      type="button"
      className={`icon-button ${asking ? "font-medium !text-danger" : ""} ${props.className ?? ""}`}
      aria-label={asking ? props.question : props.label}
      title={asking ? undefined : props.label}
      onBlur={() => setAsking(false)}
      onPointerLeave={() => setAsking(false)}
      onKeyDown={(event) => {
        if (asking && event.key === "Escape") {
          event.preventDefault();
          setAsking(false);
        }
      }}
      onClick={(event) => {
        // The second click of a double click does not answer the question.
        if (event.detail > 1) return;
        if (asking) props.onConfirm();
        setAsking(!asking);
      }}
    >
      {props.icon}
      {asking ? props.question : null}
    </button>
  );
}
