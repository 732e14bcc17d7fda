// How the product could break what the lifecycle suite promises; each child of the suite has the fault.
const { override, signalled, withModels } = require("./wrap.cjs");

/** Something that happens once a model has been loaded. */
const loaded = (then) => (lib) => ({ ...lib, loadModel: async (...args) => {
  const model = await lib.loadModel(...args);
  then(model);
  return model;
} });
const without = (left, options = {}) => Object.fromEntries(Object.entries(options).filter(([name]) => name !== left));

module.exports = {
  "the process is killed at its end": {
    args: ["--only", "loaded, return at once"],
    make: loaded(() => process.on("exit", () => process.kill(process.pid, "SIGSEGV"))),
    says: [/signal SIGSEGV/],
  },
  "the process has another code": {
    args: ["--only", "loaded, return at once"],
    make: loaded(() => process.on("exit", () => (process.exitCode = 3))),
    says: [/code 3 instead of 0/],
  },
  "the process does not end": {
    args: ["--only", "loaded, return at once", "--seconds", "20"],
    make: loaded(() => setInterval(() => {}, 1000)),
    says: [/signal SIGKILL/],
  },
  "something is printed at the end": {
    args: ["--only", "loaded, return at once"],
    make: loaded(() => process.on("exit", () => console.error("freed twice"))),
    says: [/code 0 instead of 0.*freed twice/],
  },
  "callbacks are not called": {
    args: ["--only", "in onProgress, return at once"],
    make: (lib) => ({ ...lib, loadModel: async (options) => override(await lib.loadModel(without("onProgress", options)), {}) }),
    says: [/in onProgress, .*did not come to its stage/],
  },
  "an aborted call never settles": {
    args: ["--only", "while a picture is decoded, abort"],
    make: (lib) => withModels(lib, (model) => signalled(model, { ends: (error) => (error?.code === "ABORTED" ? new Promise(() => {}) : error) })),
    says: [/, abort: .*did not come to its end/],
  },
  "a disposed model's calls end with another code": {
    args: ["--only", "while a picture is decoded, dispose"],
    make: (lib) => withModels(lib, (model) => signalled(model, { ends: (error) => error && new lib.SdRpnError("INTERNAL", error.message) })),
    says: [/, dispose: .*INTERNAL/],
  },
  "dispose never settles": {
    args: ["--only", "disposed, return at once"],
    make: (lib) => withModels(lib, (model) => ({ dispose: () => model.dispose().then(() => new Promise(() => {})) })),
    says: [/disposed, .*did not come to its (stage|end)/],
  },
  "a call ends with ABORTED though nobody aborts it": {
    args: ["--only", "while the tower works, return at once"],
    make: (lib) => withModels(lib, () => ({ predictRoI: async () => {
      throw new lib.SdRpnError("ABORTED", "The operation was aborted");
    }, open: async () => {
      throw new lib.SdRpnError("ABORTED", "The operation was aborted");
    } })),
    says: [/, return at once: .*ABORTED/],
  },
};
