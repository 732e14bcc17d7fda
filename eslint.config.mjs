// Rules that find faults. How code looks is left to its authors, except where one form prevents a fault.
import js from "@eslint/js";
import { defineConfig, globalIgnores } from "eslint/config";
import globals from "globals";
import tseslint from "typescript-eslint";

/** Rules that need no types. */
const forAll = {
  "array-callback-return": "error",
  eqeqeq: "error",
  "no-constant-binary-expression": "error",
  "no-constructor-return": "error",
  "no-control-regex": "off", // readers of files look for such characters
  "no-self-compare": "error",
  "no-template-curly-in-string": "error",
  "no-unmodified-loop-condition": "error",
  "no-unreachable-loop": ["error", { ignore: ["ForOfStatement"] }], // leaving a stream early is something to test
  "no-useless-assignment": "error",
  "no-var": "error",
  "object-shorthand": "error",
  "prefer-const": "error",
};
const unusedVars = ["error", { argsIgnorePattern: "^_", varsIgnorePattern: "^_$" }];
const unusedExpressions = ["error", { allowTernary: true, allowShortCircuit: true }];

export default defineConfig(
  globalIgnores(["lib/", "build/", "deps/", "demo/", "coverage/", "bench/peers/", "bench/out/", "test/fixtures/", "test/package/consumer/"]),
  { linterOptions: { reportUnusedDisableDirectives: "error" } },
  {
    files: ["**/*.{mjs,cjs,js}"],
    extends: [js.configs.recommended],
    languageOptions: { globals: globals.node },
    rules: { ...forAll, "no-unused-vars": unusedVars, "no-unused-expressions": unusedExpressions },
  },
  {
    files: ["src/server/page/*.mjs"],
    languageOptions: { globals: globals.browser, sourceType: "module" },
  },
  {
    files: ["**/*.cjs", "jest.config.js"],
    languageOptions: { sourceType: "commonjs" },
  },
  {
    files: ["**/*.{ts,mts}"],
    extends: [js.configs.recommended, tseslint.configs.recommendedTypeChecked],
    languageOptions: { parserOptions: { projectService: true, tsconfigRootDir: import.meta.dirname } },
    rules: {
      ...forAll,
      "@typescript-eslint/consistent-type-imports": ["error", { disallowTypeAnnotations: false }],
      "@typescript-eslint/no-deprecated": "error",
      "@typescript-eslint/no-unused-expressions": unusedExpressions,
      "@typescript-eslint/no-unused-vars": unusedVars,
      "@typescript-eslint/require-array-sort-compare": "error",
      "@typescript-eslint/return-await": ["error", "error-handling-correctness-only"],
      "@typescript-eslint/switch-exhaustiveness-check": ["error", { considerDefaultExhaustiveForUnions: true }],
      "@typescript-eslint/use-unknown-in-catch-callback-variable": "error",

      "@typescript-eslint/no-base-to-string": "off", // messages show values of type unknown
      "@typescript-eslint/no-require-imports": "off", // the addon is loaded so
      "@typescript-eslint/no-unnecessary-type-assertion": "off", // it calls assertions unnecessary that tsc asks for
      "@typescript-eslint/require-await": "off", // an async function may be what an interface asks for
      "@typescript-eslint/unbound-method": "off", // interfaces declare functions in the form of methods
    },
  },
  {
    // JSON is read without a schema there, and bench/ is linted without the build whose types it imports
    files: ["test/**", "bench/**"],
    rules: {
      "@typescript-eslint/no-unsafe-argument": "off",
      "@typescript-eslint/no-unsafe-assignment": "off",
      "@typescript-eslint/no-unsafe-call": "off",
      "@typescript-eslint/no-unsafe-member-access": "off",
      "@typescript-eslint/no-unsafe-return": "off",
    },
  },
);
