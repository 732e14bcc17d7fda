// Child of addon.test.ts: loads a neighbour with global symbols, then runs a model in the addon and in a copy of it.
const { constants } = require("node:os");
const { join } = require("node:path");

const [neighbour, ...addons] = process.argv.slice(2);
const LIBRARY = join(__dirname, "..", "..", "lib", "index.js");
const PICTURE = join(__dirname, "..", "fixtures", "pico", "parity", "0-whole.png");

function loadGlobally(path) {
  const module = { exports: {} };
  process.dlopen(module, path, constants.dlopen.RTLD_NOW | constants.dlopen.RTLD_GLOBAL);
  return module.exports;
}

/** The library anew, with its own addon. */
function libraryWith(addon) {
  process.env.SD_RPN_BINARY = addon;
  for (const path of Object.keys(require.cache)) {
    if (path.startsWith(join(LIBRARY, ".."))) delete require.cache[path];
  }
  return require(LIBRARY);
}

async function main() {
  for (const path of [neighbour, ...addons]) loadGlobally(path);
  const { demoModel } = require(LIBRARY);
  const { model, mmproj } = demoModel();
  const models = [];
  for (const addon of addons) models.push(await libraryWith(addon).loadModel({ model, mmproj }));
  const answers = await Promise.all(models.map((each) => each.answer(PICTURE, "What is the value of SEAT?", { roi: "never", maxTokens: 8 })));
  for (const each of models) await each.dispose();
  const addonCount = Object.keys(require.cache).filter((path) => path.endsWith(".node") && addons.includes(path)).length;
  console.log(JSON.stringify({ addonCount, texts: answers.map((answer) => answer.text) }));
}

main();
