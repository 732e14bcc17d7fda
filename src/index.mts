// The ESM entry re-exports the CommonJS build, so that both kinds of import share one addon and one SdRpnError class.
export * from "./index.js";
