/** Vitest's set-up for tests with React: conditions may take long on a busy machine. */
import { configure } from "@testing-library/react";

configure({ asyncUtilTimeout: 30_000 });
