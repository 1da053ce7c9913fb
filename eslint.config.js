import convex from "@convex-dev/eslint-plugin";
import js from "@eslint/js";
import reactHooks from "eslint-plugin-react-hooks";
import { defineConfig, globalIgnores } from "eslint/config";
import globals from "globals";
import tseslint from "typescript-eslint";

/** The folders of `src`, and what each may import besides itself and the files beside the folders. */
const parts = {
  component: [],
  client: ["component/_generated/"],
  browser: [],
  react: ["browser/", "client/"],
  ai: ["browser/"],
  durable: ["client/"],
  fakes: [],
};

/** Refuses imports that match. */
const noImports = (files, regex, message, ignores = []) => ({
  files,
  ignores,
  rules: {
    "no-restricted-imports": ["error", { patterns: [{ regex, message }] }],
  },
});

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
        ...["WeakRef", "FinalizationRegistry", "require", "__dirname"],
      ],
    },
  },
  ...Object.entries(parts).map(([part, others]) =>
    noImports(
      [`src/${part}/**`],
      `^\\.\\./(?!${[...others, "\\w+\\.js$"].join("|")})`,
      "The parts meet only in shared, protocol, validators and time.",
      ["**/*.test.{ts,tsx}"],
    ),
  ),
  noImports(
    ["src/**/*.test.{ts,tsx}"],
    "/(test/(?!support/)|bench/|example/)",
    "Unit tests share test/support with the other tests, and nothing else.",
  ),
  noImports(
    ["example/**"],
    "\\.\\./(src|test|bench)/",
    "The example imports the package by its name, like an app.",
  ),
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
