// How the product could break what SECURITY.md promises, each named by the check that must notice it.
const { join } = require("node:path");
const { withModels } = require("./wrap.cjs");

const loading = (then) => (lib) => ({ ...lib, loadModel: async (options) => (await then(options), lib.loadModel(options)) });
const answers = (lib) => withModels(lib, (model) => ({ answer: async (image, question, options) => {
  try {
    return await model.answer(image, question, options);
  } catch {
    return { text: "" };
  }
} }));
const without = (name) => (lib) => ({ ...lib, loadModel: ({ [name]: _, ...options } = {}) => lib.loadModel(options) });
/** Paths as C reads them: to the first NUL. */
const cut = (path) => path?.split("\0")[0];

module.exports = {
  "a library is loaded from the working directory": {
    args: ["--only", "no library"],
    make: loading(() => {
      try {
        process.dlopen({ exports: {} }, join(process.cwd(), "libggml-cpu.so"));
      } catch {
        // llama.cpp goes on where there is none
      }
    }),
    says: [/library that was looked for/],
  },
  "the addon calls the network": { args: ["--only", "the addon"], make: (lib) => lib, addon: process.execPath, says: [/function of the network/] },
  "a socket is opened": { args: ["--only", "no socket"], make: loading(() => new Promise((done) => { const server = require("node:net").createServer().listen(0, "127.0.0.1", () => server.close(done)); })), says: [/but there are .*TCPSERVERWRAP/] },
  "a process is started": { args: ["--only", "no socket"], make: loading(() => new Promise((done) => require("node:child_process").exec("true", done))), says: [/but there are .*PROCESSWRAP/] },
  "SVG is drawn": { args: ["--only", "SVG"], make: answers, says: [/a file of <svg.*a result/, /bytes of <svg.*a result/, /a file of %PDF/] },
  "pixels have no limit": { args: ["--only", "limits"], make: without("maxImagePixels"), says: [/too many pixels/] },
  "the queue has no limit": { args: ["--only", "limits"], make: without("maxQueue"), says: [/8 to end with QUEUE_FULL/] },
  "memory is asked for without a look": { args: ["--only", "OUT_OF_MEMORY"], make: without("contextSize"), says: [/32 contexts of a million tokens.*a result/] },
  "blanks are cut from paths": { args: ["--only", "paths with"], make: (lib) => ({ ...lib, loadModel: ({ model, ...rest }) => lib.loadModel({ ...rest, model: model.replaceAll(" ", "") }) }), says: [/ a b : expected an answer/] },
  "a path ends at NUL": {
    args: ["--only", "paths that"],
    make: (lib) => ({ ...lib, RoIPredictor: { load: (path) => lib.RoIPredictor.load(cut(path)) }, loadModel: ({ model, ...rest }) => lib.loadModel({ ...rest, model: cut(model) }) }),
    says: [/model's path with NUL: .*a result/, /predictor's path with NUL: .*a result/],
  },
};
