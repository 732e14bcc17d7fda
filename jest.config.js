// what comes as ES modules only, and where it is imported
const MODULES = "hyparquet|hyparquet-compressors|hyparquet-writer|hysnappy|fzstd";

/** @type {import("jest").Config} */
module.exports = {
  testEnvironment: "node",
  roots: ["<rootDir>/test"],
  testMatch: ["**/*.test.ts"],
  // `npm run test:clients` runs these, with packages, a Chromium and Python that the other tests do without
  testPathIgnorePatterns: ["/node_modules/", ...(process.env.SD_RPN_CLIENTS ? [] : ["/test/service/with-clients/"])],
  transform: {
    "/(src/eval/data/hyparquet|test/helpers/parquet-writer)\\.ts$": "<rootDir>/test/helpers/modules-to-commonjs.cjs",
    [`/node_modules/(${MODULES})/.+\\.js$`]: "<rootDir>/test/helpers/modules-to-commonjs.cjs",
    "^.+\\.ts$": ["ts-jest", { tsconfig: "test/tsconfig.json" }],
  },
  transformIgnorePatterns: [`/node_modules/(?!(${MODULES})/)`],
  moduleNameMapper: { "^#echarts$": "echarts/dist/echarts.common.min.js", "^(\\.{1,2}/.*)\\.js$": "$1" },
  testEnvironmentOptions: { globalsCleanup: "off" },
  testTimeout: 60000,
};
