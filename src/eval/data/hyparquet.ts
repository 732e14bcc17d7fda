// The library comes as ES modules only: CommonJS has to import it when it is needed.

// eslint-disable-next-line @typescript-eslint/no-unsafe-assignment -- the rule does not see the type behind the import
export type Hyparquet = typeof import("hyparquet", { with: { "resolution-mode": "import" } });

/** hyparquet and its decompressors (Snappy, Zstandard, gzip, Brotli, LZ4): JavaScript and WebAssembly, nothing native. */
export async function loadHyparquet() {
  const [library, { compressors }] = await Promise.all([import("hyparquet"), import("hyparquet-compressors")]);
  return { ...library, compressors };
}
