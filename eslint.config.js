import convex from "@convex-dev/eslint-plugin";
import js from "@eslint/js";
import reactHooks from "eslint-plugin-react-hooks";
import { defineConfig, globalIgnores } from "eslint/config";
import globals from "globals";
import tseslint from "typescript-eslint";

export default defineConfig([
  globalIgnores([
    "dist",
    "dist-example",
    "coverage",
    "reports",
    ".stryker-tmp",
    "docs/api",
    "**/_generated",
    // Without the rest of their app, which they get in a folder elsewhere,
    // their types are not known. The compiler checks them there.
    "test/package/apps",
  ]),
  js.configs.recommended,
  {
    files: ["**/*.{ts,tsx}"],
    extends: [tseslint.configs.recommendedTypeChecked],
    languageOptions: { parserOptions: { projectService: true } },
    rules: {
      // What a writer throws is thrown on, whatever it is.
      "@typescript-eslint/only-throw-error": [
        "error",
        { allowThrowingUnknown: true },
      ],
      "@typescript-eslint/no-unused-vars": [
        "error",
        { argsIgnorePattern: "^_", varsIgnorePattern: "^_" },
      ],
    },
  },
  {
    // The quick start, written as one writes in a fresh app of Vite's.
    files: ["example/minimal/**"],
    rules: {
      "@typescript-eslint/no-unsafe-argument": "off",
      "@typescript-eslint/no-base-to-string": "off",
    },
  },
  {
    files: ["src/component/**/*.ts", "example/convex/**/*.ts"],
    extends: [convex.configs.recommended],
  },
  {
    files: ["src/{client,component,browser,durable}/**/*.ts"],
    ignores: ["**/*.test.ts"],
    rules: {
      // Convex's default runtime lacks them.
      "no-restricted-globals": [
        "error",
        ...["queueMicrotask", "setImmediate", "MessageChannel", "Buffer"],
      ],
    },
  },
  {
    files: ["src/react/**/*.{ts,tsx}", "example/src/**/*.{ts,tsx}"],
    extends: [reactHooks.configs.flat["recommended-latest"]],
    linterOptions: { noInlineConfig: true },
    languageOptions: { globals: globals.browser },
  },
  {
    files: ["**/*.js"],
    languageOptions: { globals: globals.node },
  },
]);
