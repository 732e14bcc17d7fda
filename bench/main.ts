// npm run bench: see HELP in options.ts, and docs/performance.md for what comes out of it.
import { HELP, parseOptions } from "./options.js";
import { describeMachine, load } from "./machine.js";
import { writeReport } from "./report.js";
import { runBench } from "./run.js";
import { synthesize } from "./synth.js";

async function main(): Promise<void> {
  const options = parseOptions(process.argv.slice(2));
  if (!options) {
    process.stdout.write(HELP);
    return;
  }
  const say = (text: string): void => void process.stderr.write(`bench: ${text}\n`);
  const started = { at: new Date().toISOString(), load: load() };
  say(`writing the synthetic model ${options.shape}, scale ${options.scale}, ${options.type}`);
  const { files, sizes } = synthesize(options);
  const results = await runBench(options, files, say);
  const written = await writeReport({ options, files, sizes, machine: describeMachine(), started, results });
  process.stdout.write(written.markdown);
  say(`written: ${written.paths.join(", ")}`);
  process.exitCode = Object.keys(results.failed).length ? 1 : 0;
}

main().catch((error: unknown) => {
  process.stderr.write(`bench: ${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 2;
});
