// How the product could break what the soak suite promises.
const { openSync } = require("node:fs");
const { override, signalled, withModels } = require("./wrap.cjs");

const onAnswer = (change) => (lib) => withModels(lib, (model) => ({ answer: (...args) => change(() => model.answer(...args)) }));

module.exports = {
  "a call keeps memory": {
    make: (lib) => {
      const kept = [];
      return onAnswer((call) => (kept.push(Buffer.alloc(5e6, 1)), call()))(lib);
    },
    says: [/resident memory grows by .* per 100 calls/],
  },
  "a call keeps a file open": { make: onAnswer((call) => (openSync(__filename), call())), says: [/handles went from/] },
  "a disposed model keeps memory": {
    make: (lib) => {
      const kept = [];
      return withModels(lib, (model) => ({ dispose: () => (kept.push(Buffer.alloc(5e6, 1)), model.dispose()) }));
    },
    says: [/resident memory grows by .* per 100 loads/],
  },
  "a model is not freed": {
    make: (lib) => {
      const kept = [];
      return { ...lib, loadModel: async (...args) => {
        const model = await lib.loadModel(...args);
        kept.push(model);
        return override(model, { dispose: async () => {} });
      } };
    },
    says: [/resident memory grows by .* per 100 loads/, /handles went from/],
  },
  "the signal is dropped": { make: (lib) => withModels(lib, (model) => signalled(model, { passes: () => undefined })), says: [/0 of \d+ aborted calls ended with ABORTED/] },
  "bad bytes are answered": {
    make: (lib) => withModels(lib, (model) => ({ answer: (image, ...rest) => (image?.length < 20 ? Promise.resolve({ text: "" }) : model.answer(image, ...rest)) })),
    says: [/bad bytes were answered/],
  },
};
