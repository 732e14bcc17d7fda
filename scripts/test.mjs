// `npm test`: brings the build up to date, runs ctest and jest, and ends with the line "N passed, N failed".
import { spawnSync } from "node:child_process";
import * as fs from "node:fs";
import { createRequire } from "node:module";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import { buildNative } from "./build-native.mjs";
import { buildTypeScript } from "./build-ts.mjs";
import { BuildError, ROOT, runScript, say } from "./common.mjs";

const BUILD = join(ROOT, "build");

/** Runs the native tests; returns { passed, failed }. */
function runCtest() {
  const report = join(BUILD, "ctest.xml");
  fs.rmSync(report, { force: true });
  const args = ["--test-dir", BUILD, "--output-on-failure", "--no-tests=error", "--parallel", String(availableParallelism()),
    "--build-config", process.env.SD_RPN_BUILD_TYPE || "Release", "--output-junit", report];
  const { status } = spawnSync("ctest", args, { cwd: ROOT, stdio: "inherit" });
  if (!fs.existsSync(report)) throw new BuildError("ctest wrote no report: the tests need CMake 3.21 or newer");

  const attributes = /<testsuite\b[^>]*>/.exec(fs.readFileSync(report, "utf8"))?.[0] ?? "";
  const count = (name) => Number(new RegExp(`\\b${name}="(\\d+)"`).exec(attributes)?.[1] ?? 0);
  // a native test that was skipped or could not start proves nothing, so it counts as failed
  const failed = count("failures") + count("disabled") + count("skipped");
  return { passed: count("tests") - failed, failed: failed || (status === 0 ? 0 : 1) };
}

/** Runs jest with the arguments given after `npm test --`; returns { passed, failed }. */
function runJest() {
  const report = join(BUILD, "jest.json");
  fs.rmSync(report, { force: true });
  const jest = createRequire(import.meta.url).resolve("jest/bin/jest");
  const args = [jest, "--json", "--outputFile", report, ...process.argv.slice(2)];
  // --json also prints the report: it is in the file, and the readable one goes to stderr
  const { status } = spawnSync(process.execPath, args, { cwd: ROOT, stdio: ["ignore", "ignore", "inherit"] });
  if (!fs.existsSync(report)) return { passed: 0, failed: 1 };

  const result = JSON.parse(fs.readFileSync(report, "utf8"));
  // a file that does not compile has no tests that could fail; skipped tests prove nothing
  const failed = result.numFailedTests + result.numRuntimeErrorTestSuites + result.numPendingTests + result.numTodoTests;
  return { passed: result.numPassedTests, failed: failed || (status === 0 ? 0 : 1) };
}

await runScript(import.meta.url, async () => {
  const total = { passed: 0, failed: 0 };
  try {
    await buildNative();
    buildTypeScript();
    for (const run of [runCtest, runJest]) {
      const { passed, failed } = run();
      total.passed += passed;
      total.failed += failed;
    }
  } catch (error) {
    say(error instanceof BuildError ? error.message : error.stack);
    total.failed += 1;
  }
  if (total.failed > 0 || total.passed === 0) process.exitCode = 1;
  console.log(`${total.passed} passed, ${total.failed} failed`);
});
