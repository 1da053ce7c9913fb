// Read by the backend, which enforces them, and by the page, which explains them.

/** The longest message that a user may send, in UTF-16 code units. */
export const MAX_PROMPT_LENGTH = 8_000;

/** How many replaced replies a message keeps. */
export const MAX_EARLIER_REPLIES = 9;

/** How long (ms) a tab has to ask for its reply before it is written in the background. */
export const FALLBACK_MS = 5_000;

/** How many earlier messages the model sees. */
export const MAX_HISTORY = 20;
