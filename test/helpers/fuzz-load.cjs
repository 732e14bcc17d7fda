// Loads copies of one demo file with bytes changed at random, and uses what still loads. Prints a line before each
// attempt, so that a crash shows which one it was. Arguments: role, first seed, number of seeds, folder for the copy.
const { readFileSync, writeFileSync, writeSync, rmSync } = require("node:fs");
const { join } = require("node:path");
const { demoModel, SdRpnError } = require("../../lib/index.js");
const { random, tryFile } = require("../reliability/common.cjs");

const REACH = 4096;

async function main(role, first, count, folder) {
  const good = readFileSync(demoModel()[role]);
  const path = join(folder, `fuzz-${role}-${first}.gguf`);
  const outcomes = {};
  for (let seed = first; seed < first + count; seed++) {
    const next = random(seed);
    const bytes = Buffer.from(good);
    const places = [];
    for (let flips = 1 + next(3); flips > 0; flips--) {
      const at = next(REACH);
      bytes[at] ^= 1 + next(255);
      places.push(at);
    }
    rmSync(path, { force: true });
    writeFileSync(path, bytes);
    writeSync(1, `${role} seed ${seed} bytes ${places}\n`);
    let outcome = "loaded";
    try {
      await tryFile(role, path);
    } catch (error) {
      if (!(error instanceof SdRpnError) || error.code === "INTERNAL") throw error;
      outcome = error.code;
    }
    outcomes[outcome] = (outcomes[outcome] ?? 0) + 1;
  }
  writeSync(1, `${JSON.stringify(outcomes)}\n`);
}

const [role, first, count, folder] = process.argv.slice(2);
main(role, Number(first), Number(count), folder).catch((error) => {
  console.error(error);
  process.exitCode = 9;
});
